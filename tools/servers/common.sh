# tools/servers/common.sh: what the starters of real servers share. Read in by them ("."), not run.
#
# A server lives in a folder: its settings, its data, `pid`, `port` (and more ports, one file each), `log.txt`. It listens on
# loopback only. Ports stay the same for the life of the folder. Nothing here needs root; a server that refuses to be root
# names an `account` that it runs as then, with $as in front of its programs.

fail() {
  echo "$name: $*" >&2
  exit 1
}

usage() {
  sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//' >&2
  exit 2
}

# A port below those that the system gives to outgoing connections: while the server is down, a client that tries again and
# again could else be given the very port that it calls, be connected to itself, and keep the server from coming back.
free_port() {
  python3 - <<'PYTHON'
import random, socket
with open("/proc/sys/net/ipv4/ip_local_port_range") as given:
    end = min(int(given.read().split()[0]), 32768)
for port in random.sample(range(15000, max(end, 16000)), 500):
    with socket.socket() as trial:
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            continue
    print(port)
    break
PYTHON
}

# The process of the folder, if it runs: a pid of another program that came to bear the same number does not name the
# folder, and a zombie has no command line. Nor has a process for a moment while it becomes another program: looked at twice.
alive() {
  names_folder || { [ -s "$dir/pid" ] && sleep 0.1 && names_folder; }
}

names_folder() {
  [ -s "$dir/pid" ] && tr '\0' ' ' 2>/dev/null <"/proc/$(cat "$dir/pid")/cmdline" | grep -qF "$dir"
}

# Waits until the process is gone; a port that still answers may be the dying process.
wait_gone() { # SECONDS
  deadline=$(($(date +%s) + $1))
  while alive; do
    [ "$(date +%s)" -lt "$deadline" ] || return 1
    sleep 0.05
  done
  rm -f "$dir/pid"
}

end() { # SIGNAL SECONDS
  if ! alive; then
    rm -f "$dir/pid"
    return 0
  fi
  kill -s "$1" "$(cat "$dir/pid")" 2>/dev/null || true
  wait_gone "$2" || fail "pid $(cat "$dir/pid") is still there $2 s after SIG$1; see $dir/log.txt"
}

# Waits until `answers` says yes; a process that ended before has failed, and what it said last is shown.
wait_answer() { # SECONDS
  deadline=$(($(date +%s) + $1))
  until answers; do
    if ! alive; then
      rm -f "$dir/pid"
      tail -n 20 "$dir/log.txt" >&2
      fail "the server ended before it answered; the lines above are the end of $dir/log.txt"
    fi
    [ "$(date +%s)" -lt "$deadline" ] || fail "no answer on port $(cat "$dir/port") within $1 s; see $dir/log.txt"
    sleep 0.1
  done
}

# Takes DIR [--port P] and the server's own words from the command line: sets dir, port, and the variable of each word.
read_arguments() { # "WORDS" ARGUMENT...
  words=$1
  verb=${2:-}
  dir=${3:-}
  case "$verb" in start | stop | kill | restart) ;; *) usage ;; esac
  [ -n "$dir" ] || usage
  shift 3
  port="" chosen=""
  while [ $# -gt 0 ]; do
    case " $words " in *" $1 "*) chosen="$chosen $1" && shift && continue ;; esac
    [ "$1" = --port ] && [ $# -ge 2 ] || usage
    port=$2
    shift 2
  done
  [ "$verb" = start ] || [ -z "$port$chosen" ] || fail "$verb takes no options: they are those of the first start"
  [ "$verb" = start ] && mkdir -p "$dir"
  [ -d "$dir" ] || fail "there is no folder $dir"
  dir=$(cd "$dir" && pwd -P)
  as=""
  if [ -n "${account:-}" ] && [ "$(id -u)" = 0 ]; then
    chown "$account:" "$dir"
    as="setpriv --reuid=$account --regid=$account --init-groups"
    cd / # which it can read
  fi
}

# A CA, and a certificate of it for 127.0.0.1, as PEM; and a CA that has nothing to do with it. The account owns them.
make_certificates() {
  mkdir -p "$dir/tls"
  (
    cd "$dir/tls"
    authority() { # NAME
      openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=$1" -keyout "$1.key" -out "$1.pem"
    }
    authority ca
    authority wrong-ca
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=127.0.0.1 -keyout server.key -out server.csr
    echo "subjectAltName=IP:127.0.0.1,DNS:localhost" >server.ext
    openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -extfile server.ext -out server.crt
    cat server.key server.crt >server.pem
  ) >"$dir/log.txt" 2>&1 || fail "openssl made no certificate: $(tail -n 3 "$dir/log.txt")"
  if [ -n "$as" ]; then chown -R "$account:" "$dir/tls"; fi
}

# start, stop, kill, restart, by the server's own `prepare` (an empty folder), `launch`, `answers` and $stop_signal.
act() {
  case "$verb" in
  stop) end "$stop_signal" 60 ;;
  kill) end KILL 20 ;;
  restart | start)
    if [ "$verb" = restart ]; then end "$stop_signal" 60; fi
    ! alive || fail "one runs in $dir already, with pid $(cat "$dir/pid")"
    if [ -e "$dir/port" ]; then
      [ -z "$port$chosen" ] || fail "$dir was made before: its port and settings stay; leave the options out"
    else
      [ "$verb" = start ] || fail "there is no server in $dir"
      [ -n "$port" ] || port=$(free_port)
      prepare
      echo "$port" >"$dir/port"
    fi
    launch
    wait_answer 60
    ;;
  esac
}
