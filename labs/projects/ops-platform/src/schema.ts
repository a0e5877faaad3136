/** Part of your migrations. */
export const SCHEMA = `
CREATE SEQUENCE IF NOT EXISTS ops_fences;
CREATE TABLE IF NOT EXISTS ops_leases (name text PRIMARY KEY, holder text NOT NULL, fence bigint NOT NULL, ends timestamptz NOT NULL);
CREATE TABLE IF NOT EXISTS ops_users (name text PRIMARY KEY, role text NOT NULL, token text NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS ops_hosts (
  name text PRIMARY KEY, tags text[] NOT NULL, vars jsonb NOT NULL, secrets jsonb NOT NULL, token text NOT NULL UNIQUE, seen timestamptz
);
CREATE TABLE IF NOT EXISTS ops_runbooks (name text PRIMARY KEY, body jsonb NOT NULL);
CREATE TABLE IF NOT EXISTS ops_schedules (
  name text PRIMARY KEY, runbook text NOT NULL REFERENCES ops_runbooks, target text NOT NULL,
  every_ms bigint NOT NULL CHECK (every_ms > 0), missed text NOT NULL CHECK (missed IN ('once', 'skip')), next timestamptz NOT NULL
);
CREATE TABLE IF NOT EXISTS ops_rules (
  name text PRIMARY KEY, runbook text NOT NULL REFERENCES ops_runbooks, cooldown_ms bigint NOT NULL
);
CREATE TABLE IF NOT EXISTS ops_alerts (fingerprint text PRIMARY KEY, at timestamptz NOT NULL);
CREATE TABLE IF NOT EXISTS ops_runs (
  id uuid PRIMARY KEY, runbook jsonb NOT NULL, check_only boolean NOT NULL, actor text NOT NULL,
  state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'cancelling', 'done', 'aborted', 'cancelled')),
  at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX IF NOT EXISTS ops_runs_open ON ops_runs (at) WHERE state IN ('running', 'cancelling');
CREATE TABLE IF NOT EXISTS ops_jobs (
  run uuid NOT NULL REFERENCES ops_runs, host text NOT NULL, batch integer NOT NULL, state text NOT NULL DEFAULT 'waiting',
  session text, since timestamptz, reports jsonb NOT NULL DEFAULT '[]', PRIMARY KEY (run, host)
);
CREATE INDEX IF NOT EXISTS ops_jobs_open ON ops_jobs (host) WHERE state IN ('queued', 'running');
CREATE TABLE IF NOT EXISTS ops_audit (
  seq bigint PRIMARY KEY, at text NOT NULL, actor text NOT NULL, action text NOT NULL, detail text NOT NULL,
  previous text NOT NULL, hash text NOT NULL
);
`;
