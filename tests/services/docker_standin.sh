#!/bin/sh
# In place of Docker's script of installation: what it installs answers as Docker does, but runs no containers, which
# hosts of a local testbed cannot.
version=28.1.2
[ "$1" = --version ] && version=$2.9
cat >/usr/sbin/dockerd <<END
#!/bin/sh
echo "Docker version $version, build 0"
END
cat >/usr/local/bin/docker.new <<'END'
#!/bin/bash
echo "$*" >>/var/log/docker-calls
case "$1" in
  info) [ -e /run/docker-engine ] || exit 1; [ -z "$2" ] || cat /run/docker-swarm 2>/dev/null || echo inactive;;
  login) [ "$(cat)" = "pass word" ];;
  start) [ -e "/run/$2" ];;
  run) touch /run/e2c-registry; setsid --fork python3 -m http.server 5001 >/dev/null 2>&1 </dev/null;;
  swarm) case "$2" in init | join) echo active >/run/docker-swarm;; join-token) echo TOKEN;; esac;;
esac
END
mv /usr/local/bin/docker.new /usr/local/bin/docker
cat >/etc/init.d/docker <<'END'
#!/bin/sh
### BEGIN INIT INFO
# Provides:          docker
# Required-Start:
# Required-Stop:
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: stands in for Docker
### END INIT INFO
echo "service $1" >>/var/log/docker-calls
case "$1" in
  start | restart) touch /run/docker-engine;;
  stop) rm -f /run/docker-engine;;
  status) [ -e /run/docker-engine ] && echo running || { echo stopped; exit 3; };;
esac
END
chmod +x /usr/sbin/dockerd /usr/local/bin/docker /etc/init.d/docker
