#!/bin/sh
# Run once by the image while it initialises the primary: what a replica needs to connect.
# The image sources the file where it is not executable: hence no `set`, and && where a step needs the one before.
psql --no-psqlrc --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" <<'SQL' &&
CREATE ROLE replicator WITH LOGIN REPLICATION PASSWORD 'replicator';
-- Made here, not by the replica, so that a first copy that broke off can be repeated. It keeps no WAL before its first use.
SELECT pg_create_physical_replication_slot('postgres_replica');
SQL
  # "all" as a database does not cover replication connections; the containers' own network is where the replica is.
  echo 'host replication replicator samenet scram-sha-256' >>"$PGDATA/pg_hba.conf"
