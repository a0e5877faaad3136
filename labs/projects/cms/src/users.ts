import { createHash, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import type { Pool } from 'pg';
import type { Role, User } from './article.ts';
import { checkAmount, checkWords, InvalidInputError, UnauthenticatedError, UnavailableError } from './errors.ts';
import { step } from './trace.ts';
import { ConnectionLostError, type Db, LockTimeoutError, runTransaction } from './vendor/optimistic-lock/index.ts';

/** The users service's own tables. */
export const USERS_SCHEMA = `
CREATE TABLE IF NOT EXISTS cms_users (
  name text PRIMARY KEY,
  role text NOT NULL CHECK (role IN ('author', 'editor')),
  salt bytea NOT NULL,
  hash bytea NOT NULL
);
CREATE TABLE IF NOT EXISTS cms_sessions (
  token bytea PRIMARY KEY,
  name text NOT NULL REFERENCES cms_users,
  ends timestamptz NOT NULL
);
`;

const derive = promisify<string, Buffer, number, Buffer>(scrypt);
const NOBODY = { salt: randomBytes(16), hash: randomBytes(32) };
const hashOfToken = (token: string) => createHash('sha256').update(token).digest();

/** Who writes here, and as what. */
export class UserStore {
  readonly #pool: Pool;
  readonly #sessionMs: number;

  /** @param sessionMs how long a login holds, by the clock of Postgres. Default 12 hours. @throws InvalidInputError */
  constructor(pool: Pool, sessionMs = 43_200_000) {
    checkAmount('sessionMs', sessionMs, 1, 2 ** 31 - 1);
    this.#pool = pool;
    this.#sessionMs = sessionMs;
  }

  /** Adds a user, or gives one another password and role: his sessions end. @throws InvalidInputError */
  async set(name: string, password: string, role: Role): Promise<void> {
    if (!/^[\w.-]{1,64}$/.test(name)) throw new InvalidInputError('name', name, '1 to 64 letters, digits or . _ -');
    checkWords('password', password, 8, 200);
    const salt = randomBytes(16);
    const hash = await derive(password, salt, 32);
    await this.#run(async (tx) => {
      await tx.query(
        `INSERT INTO cms_users VALUES ($1, $2, $3, $4)
          ON CONFLICT (name) DO UPDATE SET role = excluded.role, salt = excluded.salt, hash = excluded.hash`,
        [name, role, salt, hash],
      );
      // Behind the lock of the row: a login that has compared the old password has begun its session, or never does.
      await tx.query('DELETE FROM cms_sessions WHERE name = $1', [name]);
    });
  }

  /** @returns a token, which is kept as a hash only @throws UnauthenticatedError, InvalidInputError, UnavailableError */
  async login(name: string, password: string): Promise<{ readonly token: string; readonly user: User }> {
    checkWords('name', name, 0, 200);
    checkWords('password', password, 0, 200);
    const found = await this.#run((tx) =>
      tx.query<{ role: Role; salt: Buffer; hash: Buffer }>('SELECT role, salt, hash FROM cms_users WHERE name = $1', [
        name,
      ]),
    );
    const [row] = found.rows;
    // For a name that nobody has it takes as long: else the time tells who is known here.
    const { salt, hash } = row ?? NOBODY;
    const same = timingSafeEqual(await derive(password, salt, 32), hash);
    const wrong = new UnauthenticatedError('The name or the password is wrong.');
    if (row === undefined || !same) throw wrong;
    const token = randomBytes(32).toString('base64url');
    await this.#run(async (tx) => {
      await tx.query('DELETE FROM cms_sessions WHERE ends < clock_timestamp()', []);
      const { rowCount } = await tx.query(
        `INSERT INTO cms_sessions SELECT $1, name, clock_timestamp() + $3::integer * interval '1 ms'
          FROM cms_users WHERE name = $2 AND hash = $4 FOR SHARE`,
        [hashOfToken(token), name, this.#sessionMs, hash],
      );
      // It was changed while we compared.
      if (rowCount === 0) throw wrong;
    });
    return { token, user: { name, role: row.role } };
  }

  /** @throws UnauthenticatedError, UnavailableError */
  async whoIs(token: string): Promise<User> {
    const { rows } = await this.#run((tx) =>
      tx.query<{ name: string; role: Role }>(
        `SELECT u.name, u.role FROM cms_sessions s JOIN cms_users u ON u.name = s.name
          WHERE s.token = $1 AND s.ends > clock_timestamp()`,
        [hashOfToken(token)],
      ),
    );
    const [user] = rows;
    if (user === undefined) throw new UnauthenticatedError('This session is over, or never was: log in.');
    return user;
  }

  async #run<T>(body: (tx: Db) => Promise<T>): Promise<T> {
    try {
      return await step('postgres users', () => runTransaction(this.#pool, body));
    } catch (error) {
      const silent = error instanceof ConnectionLostError || error instanceof LockTimeoutError;
      throw silent ? new UnavailableError('Postgres', error) : error;
    }
  }
}
