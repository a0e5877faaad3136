#!/bin/bash
# The entrypoint of the replica: copies the primary at the first start, then runs it as a hot standby.
set -euo pipefail

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  # Aside, then renamed: a copy that broke off must not be taken for a database at the next start.
  partial="$PGDATA.partial"
  rm -rf "$partial" "$PGDATA"
  mkdir -p "$(dirname "$PGDATA")"
  # --write-recovery-conf leaves standby.signal, the connection and the slot for the streaming that follows.
  pg_basebackup \
    --dbname="host=$PRIMARY_HOST port=$PRIMARY_PORT user=replicator password=replicator application_name=postgres-replica" \
    --pgdata="$partial" \
    --slot=postgres_replica \
    --wal-method=stream \
    --checkpoint=fast \
    --write-recovery-conf
  mv "$partial" "$PGDATA"
fi

exec docker-entrypoint.sh "$@"
