import { randomUUID } from 'node:crypto';
import type { Pool } from 'pg';
import { z } from 'zod';
import { type Action, hashToken, may, newToken, Role } from './access.ts';
import { AuditLog } from './audit.ts';
import {
  checkIntegerIn,
  ForbiddenError,
  InvalidArgumentError,
  NotFoundError,
  StaleFenceError,
  StoreUnavailableError,
  UnknownTokenError,
} from './errors.ts';
import { type Job, type StepReport, StepReports } from './machine.ts';
import { type BatchedJob, batchesOf, type Decision, decide, type JobState, stateOf } from './rollout.ts';
import { Name, parse, parseRunbook, type Runbook, Vars } from './runbook.ts';
import { ConnectionLostError, type Db, LockTimeoutError, runTransaction } from './vendor/optimistic-lock/index.ts';

const ALL = 'all';
const NotAll = Name.refine((name) => name !== ALL, 'all hosts are meant by "all": give another name');
/** Of a duration: 34 years. Postgres's times end, and one schedule that can't be reckoned would stop all. */
const LONGEST_MS = 2 ** 40;

export const Host = z.strictObject({
  name: NotAll,
  tags: z.array(NotAll).max(32).default([]),
  vars: Vars.default({}),
  /** Filled in as `vars` are, and taken out of every output. */
  secrets: Vars.default({}),
});
export type Host = z.input<typeof Host>;

export const Schedule = z.strictObject({
  name: Name,
  runbook: Name,
  /** `all`, a tag, or one host. */
  target: Name,
  everyMs: z.int().min(1).max(LONGEST_MS),
  /** Of those that were missed while nobody led: one is made up for, or none. Default once. */
  missed: z.enum(['once', 'skip']).default('once'),
  /** The first. */
  first: z.date().min(new Date('1970-01-01')).max(new Date('9999-12-31')),
});
export type Schedule = z.input<typeof Schedule>;

export const Rule = z.strictObject({
  alert: Name,
  runbook: Name,
  cooldownMs: z.int().min(0).max(LONGEST_MS),
});
export type Rule = z.output<typeof Rule>;

/** As Alertmanager's webhook has it. */
export const Alert = z.object({
  status: z.enum(['firing', 'resolved']),
  fingerprint: Name,
  labels: z.record(z.string(), z.string()),
});
export type Alert = z.output<typeof Alert>;
export const Alerts = z.array(Alert).max(1_000);

export interface Start {
  readonly runbook: string;
  /** `all`, a tag, or one host. */
  readonly target: string;
  /** Default false. */
  readonly check?: boolean;
}

/** A schedule whose time has come. */
export interface Due {
  readonly name: string;
  readonly runbook: string;
  readonly target: string;
  /** That it is for one that was missed, and is left out by its policy. */
  readonly skip: boolean;
}

export interface JobView {
  readonly host: string;
  readonly batch: number;
  readonly state: JobState;
  readonly reports: readonly StepReport[];
}

export interface RunView {
  readonly id: string;
  readonly runbook: string;
  readonly check: boolean;
  readonly actor: string;
  readonly state: 'running' | 'cancelling' | 'done' | 'aborted' | 'cancelled';
  readonly jobs: readonly JobView[];
}

const LEADER = 'leader';
const OPEN = "state IN ('queued', 'running')";

/** What is known and what is to be done, in Postgres: any number of controllers stand before it. */
export class Ops {
  readonly #pool: Pool;
  readonly audit: AuditLog;

  constructor({ pool, audit = new AuditLog() }: { readonly pool: Pool; readonly audit?: AuditLog }) {
    this.#pool = pool;
    this.audit = audit;
  }

  // ── who ──

  /** @returns the user's token, which nobody can look up later @throws InvalidArgumentError */
  async addUser(actor: string, name: string, role: Role): Promise<string> {
    const user = { name: parse(Name, name, 'name'), role: parse(Role, role, 'role') };
    const token = newToken();
    await this.#put(actor, 'user', { ...user, token: hashToken(token) }, user);
    return token;
  }

  /** @throws UnknownTokenError; ForbiddenError, which the audit log has */
  async allow(token: string, action: Action): Promise<string> {
    const { rows } = await this.run((tx) =>
      tx.query<{ name: string; role: string }>('SELECT name, role FROM ops_users WHERE token = $1', [hashToken(token)]),
    );
    const [user] = rows;
    if (!user) throw new UnknownTokenError();
    const role = Role.parse(user.role);
    if (may(role, action)) return user.name;
    await this.run((tx) => this.audit.append(tx, user.name, 'refused', { action, role }));
    throw new ForbiddenError(user.name, role, action);
  }

  /** @returns the host's name @throws UnknownTokenError */
  async hostOf(token: string): Promise<string> {
    const { rows } = await this.run((tx) =>
      tx.query<{ name: string }>('SELECT name FROM ops_hosts WHERE token = $1', [hashToken(token)]),
    );
    if (!rows[0]) throw new UnknownTokenError();
    return rows[0].name;
  }

  // ── what there is ──

  /** @returns the token of the host's agent, which nobody can look up later; the one before opens nothing from now on */
  async addHost(actor: string, host: Host): Promise<string> {
    const { secrets, ...open } = parse(Host, host, 'the host');
    if (Object.values(secrets).includes('')) throw new InvalidArgumentError('A secret is empty: leave it out.');
    const token = newToken();
    const row = { ...open, secrets: JSON.stringify(secrets), vars: JSON.stringify(open.vars), token: hashToken(token) };
    await this.#put(actor, 'host', row, { ...open, secrets: Object.keys(secrets) });
    return token;
  }

  /** @throws InvalidArgumentError, CycleError */
  async putRunbook(actor: string, runbook: unknown): Promise<void> {
    const body = parseRunbook(runbook);
    await this.#put(actor, 'runbook', { name: body.name, body: JSON.stringify(body) }, body);
  }

  /** @throws InvalidArgumentError, NotFoundError where there is no such runbook */
  async putSchedule(actor: string, schedule: Schedule): Promise<void> {
    const { everyMs, first, ...rest } = parse(Schedule, schedule, 'the schedule');
    await this.#put(actor, 'schedule', { ...rest, every_ms: everyMs, next: first }, { ...rest, everyMs, first });
  }

  /** @throws InvalidArgumentError, NotFoundError where there is no such runbook */
  async putRule(actor: string, rule: Rule): Promise<void> {
    const { alert, runbook, cooldownMs } = parse(Rule, rule, 'the rule');
    await this.#put(actor, 'rule', { name: alert, runbook, cooldown_ms: cooldownMs }, { alert, runbook, cooldownMs });
  }

  /** A row under its name, in the place of the one before. The names of the columns are ours. */
  #put(actor: string, what: 'user' | 'host' | 'runbook' | 'schedule' | 'rule', row: object, detail: object) {
    const columns = Object.keys(row);
    const values = columns.map((_, n) => `$${n + 1}`);
    const change = columns.map((column) => `${column} = excluded.${column}`);
    return this.run(async (tx) => {
      if ('runbook' in row) await this.#runbook(tx, String(row.runbook));
      await tx.query(
        `INSERT INTO ops_${what}s (${columns}) VALUES (${values}) ON CONFLICT (name) DO UPDATE SET ${change}`,
        Object.values(row),
      );
      await this.audit.append(tx, actor, what, detail);
    });
  }

  /**
   * From now on a user's or a host's token opens nothing, a host is in no new run, a schedule is not due, an alert starts nothing.
   * @throws NotFoundError; InvalidArgumentError for a runbook that a schedule or a rule has
   */
  async remove(
    actor: string,
    kind: 'users' | 'hosts' | 'runbooks' | 'schedules' | 'rules',
    name: string,
  ): Promise<void> {
    parse(z.enum(['users', 'hosts', 'runbooks', 'schedules', 'rules']), kind, 'kind');
    parse(Name, name, 'name');
    await this.run(async (tx) => {
      if (kind === 'runbooks') {
        const { rows } = await tx.query<{ name: string }>(
          'SELECT name FROM ops_schedules WHERE runbook = $1 UNION ALL SELECT name FROM ops_rules WHERE runbook = $1',
          [name],
        );
        if (rows[0]) throw new InvalidArgumentError(`${rows[0].name} has the runbook ${name}: remove it first.`);
      }
      const { rowCount } = await tx.query(`DELETE FROM ops_${kind} WHERE name = $1`, [name]);
      if (rowCount === 0) throw new NotFoundError(kind.slice(0, -1), name);
      await this.audit.append(tx, actor, 'remove', { kind, name });
    });
  }

  /** Deletes runs that are over and began longer ago than this; what the log says of them stays. @returns how many */
  async forget(actor: string, olderThanMs: number): Promise<number> {
    checkIntegerIn('olderThanMs', olderThanMs, 0, LONGEST_MS);
    return this.run(async (tx) => {
      const { rowCount } = await tx.query(
        `WITH old AS (
            SELECT id FROM ops_runs WHERE at <= clock_timestamp() - $1::bigint * interval '1 ms' AND state NOT IN ('running', 'cancelling')
          ), jobs AS (DELETE FROM ops_jobs USING old WHERE run = id) DELETE FROM ops_runs USING old WHERE ops_runs.id = old.id`,
        [olderThanMs],
      );
      await this.audit.append(tx, actor, 'forget', { olderThanMs, runs: rowCount });
      return rowCount ?? 0;
    });
  }

  // ── what is to be done ──

  /** @returns the run's id @throws NotFoundError where there is no such runbook, or no host */
  start(actor: string, start: Start): Promise<string> {
    return this.run((tx) => this.startIn(tx, actor, start));
  }

  /** In a transaction of the caller's. @param exact that `target` is a host, though others may have a tag of that name */
  async startIn(tx: Db, actor: string, { runbook, target, check = false }: Start, exact = false): Promise<string> {
    const book = await this.#runbook(tx, parse(Name, runbook, 'runbook'));
    parse(z.boolean(), check, 'check');
    const { rows } = await tx.query<{ name: string }>(
      `SELECT name FROM ops_hosts WHERE name = $1 OR NOT $3 AND ($1 = $2 OR $1 = ANY(tags)) ORDER BY name`,
      [parse(Name, target, 'target'), ALL, exact],
    );
    if (rows.length === 0) throw new NotFoundError('host', target);
    const id = randomUUID();
    const batches = batchesOf(
      rows.map(({ name }) => name),
      book.batch,
    );
    await tx.query('INSERT INTO ops_runs VALUES ($1, $2, $3, $4)', [id, JSON.stringify(book), check, actor]);
    await tx.query('INSERT INTO ops_jobs (run, host, batch) SELECT $1, * FROM unnest($2::text[], $3::integer[])', [
      id,
      [...batches.keys()],
      [...batches.values()],
    ]);
    await this.audit.append(tx, actor, 'start', { id, runbook, target, check });
    return id;
  }

  /** What waits is not begun; what runs is ended, with all its processes. @throws NotFoundError */
  async cancel(actor: string, id: string): Promise<void> {
    parse(z.uuid(), id, 'the id of a run');
    await this.run(async (tx) => {
      const { rowCount } = await tx.query(
        "UPDATE ops_runs SET state = 'cancelling' WHERE id = $1 AND state IN ('running', 'cancelling')",
        [id],
      );
      if (rowCount === 0) throw new NotFoundError('open run', id);
      await this.audit.append(tx, actor, 'cancel', { id });
    });
  }

  /**
   * Each alert for itself: those before an error, or before `signal`, have started theirs, and start none when all are sent again.
   * @returns the run that each has started, undefined where it started none: no rule, no such host, or too soon
   */
  async alert(actor: string, alerts: readonly Alert[], signal?: AbortSignal): Promise<readonly (string | undefined)[]> {
    const started: (string | undefined)[] = [];
    for (const { status, fingerprint, labels } of parse(Alerts, alerts, 'the alerts')) {
      const [name, target] = [labels['alertname'] ?? '', labels['host'] ?? ''];
      const run = async (tx: Db): Promise<string | undefined> => {
        if (![name, target].every((it) => Name.safeParse(it).success)) return undefined;
        const rule = await tx.query<{ runbook: string; cooldown_ms: string }>(
          'SELECT runbook, cooldown_ms FROM ops_rules WHERE name = $1 AND EXISTS (SELECT FROM ops_hosts WHERE name = $2)',
          [name, target],
        );
        const [found] = rule.rows;
        if (!found || !(await this.claimAlert(tx, fingerprint, Number(found.cooldown_ms)))) return undefined;
        return this.startIn(tx, `${actor}: ${name}`, { runbook: found.runbook, target }, true);
      };
      signal?.throwIfAborted();
      started.push(status === 'firing' ? await this.run(run) : undefined);
    }
    return started;
  }

  /** @returns whether it is the first within its time; the next time begins with it */
  protected async claimAlert(tx: Db, fingerprint: string, cooldownMs: number): Promise<boolean> {
    const { rowCount } = await tx.query(
      `INSERT INTO ops_alerts AS known VALUES ($1, clock_timestamp()) ON CONFLICT (fingerprint) DO UPDATE SET at = clock_timestamp()
        WHERE known.at <= clock_timestamp() - $2::bigint * interval '1 ms'`,
      [fingerprint, cooldownMs],
    );
    return rowCount === 1;
  }

  // ── what the leader does ──

  /** @returns the number of the lease, a larger one for each new holder; undefined while another one holds it */
  async acquire(holder: string, ttlMs: number): Promise<bigint | undefined> {
    checkIntegerIn('ttlMs', ttlMs, 1);
    const { rows } = await this.run((tx) =>
      tx.query<{ fence: string }>(
        `INSERT INTO ops_leases AS lease
          VALUES ($1, $2, nextval('ops_fences'), clock_timestamp() + $3::integer * interval '1 ms')
          ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, ends = excluded.ends,
            fence = CASE WHEN lease.holder = excluded.holder THEN lease.fence ELSE excluded.fence END
          WHERE lease.holder = excluded.holder OR lease.ends <= clock_timestamp() RETURNING fence`,
        [LEADER, holder, ttlMs],
      ),
    );
    return rows[0] && BigInt(rows[0].fence);
  }

  /** Writes as the leader that `acquire` has made. @throws StaleFenceError where another one has been made since */
  lead<T>(fence: bigint, write: (tx: Db) => Promise<T>): Promise<T> {
    return this.run(async (tx) => {
      // Held until the commit: nobody takes over in the middle of the write.
      const { rowCount } = await tx.query('SELECT FROM ops_leases WHERE name = $1 AND fence = $2 FOR SHARE', [
        LEADER,
        fence.toString(),
      ]);
      if (rowCount === 0) throw new StaleFenceError(fence);
      return write(tx);
    });
  }

  async due(): Promise<readonly Due[]> {
    const { rows } = await this.run((tx) =>
      tx.query<{ name: string; runbook: string; target: string; skip: boolean }>(
        `SELECT name, runbook, target,
            missed = 'skip' AND next <= clock_timestamp() - every_ms * interval '1 ms' AS skip
          FROM ops_schedules WHERE next <= clock_timestamp() ORDER BY next, name`,
      ),
    );
    return rows;
  }

  /** Starts what is due, once, and sets its next time: the first on its grid that is ahead. @returns the run's id */
  async fire(tx: Db, { name, runbook, target, skip }: Due): Promise<string | undefined> {
    await tx.query(
      `UPDATE ops_schedules SET next = next + every_ms * interval '1 ms' *
          (floor(greatest(0, extract(epoch FROM clock_timestamp() - next)) * 1000 / every_ms) + 1) WHERE name = $1`,
      [name],
    );
    if (!skip) return this.startIn(tx, `schedule: ${name}`, { runbook, target });
    await this.audit.append(tx, `schedule: ${name}`, 'skip', { runbook, target });
    return undefined;
  }

  /**
   * Of whoever has not been heard for so long nobody knows what has become of the job; a job that waits for another one of its
   * host is not lost while the host is heard. @returns how many
   */
  async lose(tx: Db, silentMs: number): Promise<number> {
    const { rowCount } = await tx.query(
      `UPDATE ops_jobs SET state = 'unknown' FROM (SELECT clock_timestamp() - $1::integer * interval '1 ms' AS since) AS silent
        WHERE ${OPEN} AND ops_jobs.since <= silent.since
          AND NOT (state = 'queued' AND EXISTS (SELECT FROM ops_hosts WHERE name = host AND seen > silent.since))`,
      [silentMs],
    );
    return rowCount ?? 0;
  }

  /** Takes each run a step further. */
  async advance(tx: Db): Promise<void> {
    const { rows } = await tx.query<{ id: string; state: string; limit: number; jobs: BatchedJob[] }>(
      `SELECT id, state, (runbook->>'maxFailedPercent')::float8 AS limit,
          (SELECT json_agg(json_build_object('batch', batch, 'state', job.state)) FROM ops_jobs job WHERE run = id) AS jobs
        FROM ops_runs WHERE state IN ('running', 'cancelling') ORDER BY at FOR UPDATE`,
    );
    for (const { id, state, limit, jobs } of rows) {
      if (state === 'cancelling') {
        await tx.query("UPDATE ops_jobs SET state = 'skipped' WHERE run = $1 AND state IN ('waiting', 'queued')", [id]);
        if (!jobs.some((job) => job.state === 'running')) await this.#end(tx, id, 'cancelled');
        continue;
      }
      const decision = this.decide(jobs, limit);
      if (decision.next === 'start') {
        await tx.query(
          "UPDATE ops_jobs SET state = 'queued', since = clock_timestamp() WHERE run = $1 AND batch = $2 AND state = 'waiting'",
          [id, decision.batch],
        );
      } else if (decision.next !== 'wait') await this.#end(tx, id, decision.next === 'abort' ? 'aborted' : 'done');
    }
  }

  protected decide(jobs: readonly BatchedJob[], maxFailedPercent: number): Decision {
    return decide(jobs, maxFailedPercent);
  }

  async #end(tx: Db, id: string, state: 'done' | 'aborted' | 'cancelled'): Promise<void> {
    await tx.query("UPDATE ops_jobs SET state = 'skipped' WHERE run = $1 AND state = 'waiting'", [id]);
    await tx.query('UPDATE ops_runs SET state = $2 WHERE id = $1', [id, state]);
    const { rows } = await tx.query<{ state: string; n: number }>(
      'SELECT state, count(*)::integer AS n FROM ops_jobs WHERE run = $1 GROUP BY state',
      [id],
    );
    await this.audit.append(tx, 'controller', state, {
      id,
      hosts: Object.fromEntries(rows.map((it) => [it.state, it.n])),
    });
  }

  // ── what the agents do ──

  /** @returns what the host is to do, undefined where nothing is @param session of this start of the agent */
  next(host: string, session: string): Promise<Job | undefined> {
    return this.run(async (tx) => {
      await this.#heard(tx, host);
      // An agent that asks has nothing in its hands: another start of it had, or the answer to this one got lost.
      await tx.query("UPDATE ops_jobs SET state = 'unknown' WHERE host = $1 AND state = 'running' AND session <> $2", [
        host,
        session,
      ]);
      const { rows } = await tx.query<{ run: string }>(
        `UPDATE ops_jobs SET state = 'running', session = $2,
            since = CASE state WHEN 'queued' THEN clock_timestamp() ELSE since END WHERE host = $1 AND run = (
          SELECT run FROM ops_jobs WHERE host = $1 AND ${OPEN} ORDER BY state DESC, since LIMIT 1 FOR UPDATE SKIP LOCKED
        ) RETURNING run`,
        [host, session],
      );
      const [job] = rows;
      if (!job) return undefined;
      const found = await tx.query<{ steps: Job['steps']; check: boolean; vars: Vars; secrets: Vars }>(
        `SELECT runbook->'steps' AS steps, check_only AS check, vars, secrets FROM ops_runs, ops_hosts
          WHERE id = $1 AND name = $2`,
        [job.run, host],
      );
      const [what] = found.rows;
      return what && { run: job.run, ...what, vars: { ...what.vars, host } };
    });
  }

  /** The hosts that `next` has something for: one look for all agents that wait. */
  async queued(): Promise<ReadonlySet<string>> {
    const { rows } = await this.run((tx) =>
      tx.query<{ host: string }>("SELECT DISTINCT host FROM ops_jobs WHERE state = 'queued'"),
    );
    return new Set(rows.map(({ host }) => host));
  }

  /** How it goes. @returns whether the agent is to end it: it was cancelled, or nobody counts on it any more */
  beat(
    host: string,
    session: string,
    { run, reports, done }: { readonly run: string; readonly reports: readonly StepReport[]; readonly done: boolean },
  ): Promise<{ readonly cancel: boolean }> {
    parse(z.uuid(), run, 'the id of a run');
    parse(StepReports, reports, 'the reports');
    return this.run(async (tx) => {
      await this.#heard(tx, host);
      const { rows } = await tx.query<{ cancel: boolean; steps: { name: string }[] }>(
        `UPDATE ops_jobs job SET since = clock_timestamp(), reports = $4 FROM ops_runs
          WHERE id = run AND run = $1 AND host = $2 AND session = $3 AND job.state = 'running'
          RETURNING ops_runs.state = 'cancelling' AS cancel, runbook->'steps' AS steps`,
        [run, host, session, JSON.stringify(reports)],
      );
      const [job] = rows;
      if (!job) return { cancel: true };
      const state = stateOf(
        job.steps.map(({ name }) => name),
        reports,
      );
      if (done) await tx.query('UPDATE ops_jobs SET state = $3 WHERE run = $1 AND host = $2', [run, host, state]);
      return { cancel: job.cancel };
    });
  }

  async #heard(tx: Db, host: string): Promise<void> {
    await tx.query('UPDATE ops_hosts SET seen = clock_timestamp() WHERE name = $1', [host]);
  }

  // ── what is seen ──

  /** The newest first. @param id only this one */
  runs(limit = 20, id?: string): Promise<readonly RunView[]> {
    return this.#runs('reports', limit, id);
  }

  /** The same with `output` left empty, which is megabytes of a large run. */
  summaries(limit: number): Promise<readonly RunView[]> {
    const empty = `(SELECT coalesce(json_agg(report || '{"output": ""}' ORDER BY n), '[]')
      FROM jsonb_array_elements(reports) WITH ORDINALITY AS each (report, n))`;
    return this.#runs(empty, limit);
  }

  async #runs(reports: string, limit: number, id?: string): Promise<readonly RunView[]> {
    const { rows } = await this.run((tx) =>
      tx.query<RunView & Record<string, unknown>>(
        `SELECT id, runbook->>'name' AS runbook, check_only AS check, actor, state, (
            SELECT json_agg(json_build_object('host', host, 'batch', batch, 'state', job.state, 'reports', ${reports}) ORDER BY host)
            FROM ops_jobs job WHERE run = id
          ) AS jobs FROM ops_runs WHERE $2::uuid IS NULL OR id = $2 ORDER BY at DESC LIMIT $1`,
        [limit, id === undefined ? null : parse(z.uuid(), id, 'the id of a run')],
      ),
    );
    return rows;
  }

  /** Hosts, and how many milliseconds ago they were heard of last; undefined where never. */
  async hosts(): Promise<readonly { readonly name: string; readonly seenMs: number | undefined }[]> {
    const { rows } = await this.run((tx) =>
      tx.query<{ name: string; ms: number | null }>(
        'SELECT name, (extract(epoch FROM clock_timestamp() - seen) * 1000)::float8 AS ms FROM ops_hosts ORDER BY name',
      ),
    );
    return rows.map(({ name, ms }) => ({ name, seenMs: ms ?? undefined }));
  }

  async runbooks(): Promise<readonly string[]> {
    const { rows } = await this.run((tx) => tx.query<{ name: string }>('SELECT name FROM ops_runbooks ORDER BY name'));
    return rows.map(({ name }) => name);
  }

  auditEntries() {
    return this.run((tx) => this.audit.entries(tx));
  }

  async #runbook(tx: Db, name: string): Promise<Runbook> {
    const { rows } = await tx.query<{ body: unknown }>('SELECT body FROM ops_runbooks WHERE name = $1', [name]);
    if (!rows[0]) throw new NotFoundError('runbook', name);
    return parseRunbook(rows[0].body);
  }

  protected async run<T>(body: (tx: Db) => Promise<T>): Promise<T> {
    try {
      return await runTransaction(this.#pool, body);
    } catch (error) {
      const silent = error instanceof ConnectionLostError || error instanceof LockTimeoutError;
      throw silent ? new StoreUnavailableError(error) : error;
    }
  }
}
