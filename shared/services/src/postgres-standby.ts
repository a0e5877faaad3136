import { appendFile, chown, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FaultUnavailableError } from './errors.ts';
import { FaultyNode } from './faults.ts';
import { ANSWER_MS, withClient } from './postgres-client.ts';
import type { Identity } from './process.ts';
import type { Node } from './types.ts';

/** A hot standby: reads are served here, a write is refused with SQLSTATE 25006. */
export interface Standby extends Node {
  /** A lag of our own making: what the primary commits arrives, and is not seen until `resumeReplay()`. A restart ends it. */
  pauseReplay(): Promise<void>;
  resumeReplay(): Promise<void>;
  /** Makes it a primary, for good. The old one does not learn of it: kill() it first, or there are two. */
  promote(): Promise<void>;
}

/**
 * The server's settings, on both sides. Without a slot nothing of ours is left in the primary; the kept WAL lets a standby
 * that was down for a while catch up. A standby looks for a primary that came back ten times a second, not every 5 s.
 */
export const REPLICATION = ['-c', 'wal_keep_size=512MB', '-c', 'wal_retrieve_retry_interval=100ms'];

/** Makes a copy of the primary's data folder, taken before the primary ran, into a standby's. */
export async function follow(data: string, primary: string, identity: Identity | undefined): Promise<void> {
  const { hostname, port, username, password } = new URL(primary);
  const conninfo = `host=${hostname} port=${port} user=${username} password=${password}`;
  // In the file, not among the arguments: those are for everybody to read.
  await appendFile(join(data, 'postgresql.auto.conf'), `primary_conninfo = '${conninfo}'\n`);
  const signal = join(data, 'standby.signal');
  await writeFile(signal, '', { mode: 0o600 });
  if (identity !== undefined) await chown(signal, identity.uid, identity.gid);
}

/** Waits until the standby has what the primary has by now. @returns false if it is none, is paused, or takes too long */
export async function inStep(primary: string, standby: string): Promise<boolean> {
  const lsn = await withClient(primary, async (client) => {
    const { rows } = await client.query<{ lsn: string }>('SELECT pg_current_wal_flush_lsn() AS lsn');
    return rows[0]?.lsn;
  });
  // Of a database that it has not heard of yet, it cannot be asked.
  const anywhere = new URL(standby);
  anywhere.pathname = '/template1';
  return withClient(anywhere.href, (client) =>
    polled(async () => {
      const { rows } = await client.query<{ replica: boolean; paused: boolean | null; there: boolean | null }>(
        `SELECT pg_is_in_recovery() AS replica,
          CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() END AS paused,
          pg_last_wal_replay_lsn() >= $1::pg_lsn AND EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')
            AS there`,
        [lsn],
      );
      const [found] = rows;
      if (!found?.replica || found.paused !== false) return false;
      return found.there ? true : undefined;
    }),
  );
}

/** Asks until there is an answer, for as long as a server may take. */
async function polled(ask: () => Promise<boolean | undefined>): Promise<boolean> {
  for (const deadline = performance.now() + ANSWER_MS * 3; performance.now() < deadline; await sleep(5)) {
    const answer = await ask();
    if (answer !== undefined) return answer;
  }
  return false;
}

export class StandbyNode extends FaultyNode implements Standby {
  readonly #kept: string | undefined;

  /** @param o.kept why it must not be promoted */
  constructor({ kept, ...o }: ConstructorParameters<typeof FaultyNode>[0] & { kept?: string }) {
    super(o);
    this.#kept = kept;
  }

  async pauseReplay(): Promise<void> {
    // It is a request; the standby says when it has stopped.
    await this.#tell('pause the replay of', 'pg_wal_replay_pause()', "pg_get_wal_replay_pause_state() = 'paused'");
  }

  async resumeReplay(): Promise<void> {
    await this.#tell('resume the replay of', 'pg_wal_replay_resume()', 'NOT pg_is_wal_replay_paused()');
  }

  async promote(): Promise<void> {
    if (this.#kept !== undefined) throw new FaultUnavailableError(this.service, 'promote', this.#kept);
    await this.#tell('promote', 'pg_promote(true, 20)', 'NOT pg_is_in_recovery()');
  }

  /** A standby that was not promoted also gets its replay back. */
  override async close(o: { heal: boolean }): Promise<void> {
    await super.close(o);
    if (o.heal) await this.resumeReplay().catch(() => {});
  }

  async #tell(fault: string, call: string, done: string): Promise<void> {
    await this.turn(fault, async () => {
      if (this.state !== 'up') {
        const mend = this.state === 'down' ? 'restart' : 'resume';
        throw new FaultUnavailableError(
          this.service,
          fault,
          `node ${this.index} is ${this.state}; ${mend}() it first.`,
        );
      }
      const took = await withClient(this.url, async (client) => {
        await client.query(`SELECT ${call}`);
        return polled(async () => {
          const { rows } = await client.query<{ done: boolean }>(`SELECT ${done} AS done`);
          return rows[0]?.done === true || undefined;
        });
      }).catch((error: unknown) => {
        const words = error instanceof Error ? error.message : String(error);
        throw new FaultUnavailableError(this.service, fault, `${words}.`, { cause: error });
      });
      if (!took) throw new FaultUnavailableError(this.service, fault, 'it did not follow within seconds.');
    });
  }
}
