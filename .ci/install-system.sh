#!/bin/sh
# Installs the Debian packages named as arguments, and user-mode-linux where the kernel has no netem.
# Does nothing when all are there. Servers that come with them (ssh, mosquitto) are not left running: local hosts
# start their own.
set -eu

if [ "$(id -u)" != 0 ]; then
  echo "This needs root: local hosts are network namespaces, and missing packages are installed." >&2
  echo "Run it as root, for example: sudo make ${E2C_TARGET:-tutorial}" >&2
  exit 1
fi

absent() { # those of the packages that are not installed
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || printf ' %s' "$package"
  done
}

install() { # packages, without starting the services that come with them
  if ! command -v apt-get >/dev/null; then
    echo "Install these packages with your package manager, then repeat: $*" >&2
    exit 1
  fi
  policy=/usr/sbin/policy-rc.d
  if [ ! -e $policy ]; then # Debian's way to say: start no service
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
    trap 'rm -f $policy' EXIT
  fi
  echo "Installing: $*"
  [ -n "${updated:-}" ] || apt-get update -qq
  updated=yes
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

netem() { # the running kernel can delay packets
  modprobe sch_netem 2>/dev/null || true
  unshare -n tc qdisc add dev lo root netem delay 1ms 2>/dev/null
}

missing=$(absent "$@")
# shellcheck disable=SC2086 # a list of words
[ -z "$missing" ] || install $missing
if command -v systemctl >/dev/null; then # nor shall they start at the next boot
  case "$missing " in *" mosquitto "*) systemctl --quiet disable mosquitto 2>/dev/null || true ;; esac
  case "$missing " in *" openssh-server "*) systemctl --quiet disable ssh 2>/dev/null || true ;; esac
fi

if ! command -v linux.uml >/dev/null && ! netem; then
  install user-mode-linux || {
    echo "This kernel has no netem (module sch_netem), and user-mode-linux, which can do it instead, is not to be had." >&2
    echo "On Ubuntu: apt-get install linux-modules-extra-$(uname -r)" >&2
    exit 1
  }
fi
