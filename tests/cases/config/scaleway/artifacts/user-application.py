# The application of this scenario; what it does is of no concern here.
