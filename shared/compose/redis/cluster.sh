#!/bin/sh
# cluster.sh serve   makes one cluster of the six nodes (3 masters, each with a replica), then stays for its health check
# cluster.sh create  the same, then ends
# cluster.sh check   0 once that is done, as long as a node that answers finds every slot served
#
# A cluster that exists is left as it is, so running this again is harmless.
set -eu

HOST=127.0.0.1
PORTS='46391 46392 46393 46394 46395 46396'
CREATED=/tmp/concept-labs.cluster-created
TRIES=300 # at 0.2 s: one minute

# field PORT NAME: one field of CLUSTER INFO, empty while the node does not answer; a paused one accepts and stays silent
field() {
  timeout 1 redis-cli -h "$HOST" -p "$1" cluster info 2>/dev/null | tr -d '\r' | sed -n "s/^$2://p"
}

fail() {
  echo "cluster.sh: $1" >&2
  exit 1
}

# await WHAT COMMAND…: repeats the command for each port until it holds for all of them
await() {
  what=$1
  shift
  for port in $PORTS; do
    tries=$TRIES
    until "$@" "$port"; do
      tries=$((tries - 1))
      [ "$tries" -gt 0 ] || fail "the node on port $port $what within a minute. Its log: docker compose logs. \
To begin anew: docker compose --profile redis-cluster down --volumes"
      sleep 0.2
    done
  done
}

answers() { [ "$(field "$1" cluster_known_nodes)" ]; }

served() { [ "$(field "$1" cluster_state)" = ok ]; }

# A node that joined knows the others; whether all slots are assigned is not asked here, since a lab may have moved them.
exists() {
  for port in $PORTS; do
    [ "$(field "$port" cluster_known_nodes)" = 1 ] || return 0
  done
  return 1
}

# Replication is set up after the slots are served, and `served` alone would report a cluster that cannot fail over yet.
replicated() {
  case $(timeout 1 redis-cli -h "$HOST" -p "$1" info replication 2>/dev/null | tr -d '\r') in
    *role:slave*master_link_status:up*) ;;
    *role:master*connected_slaves:1*) ;;
    *) return 1 ;;
  esac
}

create() {
  rm -f "$CREATED"
  await 'did not answer' answers
  if exists; then
    await 'did not find every slot served' served
  else
    set --
    for port in $PORTS; do
      set -- "$@" "$HOST:$port"
    done
    redis-cli --cluster create "$@" --cluster-replicas 1 --cluster-yes
    await 'did not find every slot served' served
    await 'did not start replicating' replicated
  fi
  touch "$CREATED"
}

check() {
  [ -e "$CREATED" ] || fail 'the cluster is not ready yet'
  for port in $PORTS; do
    if served "$port"; then
      return 0
    fi
  done
  fail 'no node finds every slot served'
}

case ${1-} in
  serve)
    create
    exec sleep infinity
    ;;
  create) create ;;
  check) check ;;
  *) fail 'usage: cluster.sh serve|create|check' ;;
esac
