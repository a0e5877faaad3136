import { Agent, request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { Pool, type PoolClient } from 'pg';
import { onTestFinished } from 'vitest';
import { Api, type ApiOptions, type Dependency, provide } from '#lab';

/** A counter with the routes of one law; `failed` has what was told to `onError`. */
export function open(options: Omit<ApiOptions, 'onError'>) {
  const failed: unknown[] = [];
  const drain = { idleMs: 20, limitMs: 300, cutMs: 300 };
  const api = new Api({ drain, ...options, onError: (error) => failed.push(error) });
  onTestFinished(() => api.close());
  const send = async (method: 'GET' | 'POST', url: string, payload?: unknown, type = 'application/json') => {
    const raw = typeof payload === 'string' || Buffer.isBuffer(payload) ? payload : JSON.stringify(payload);
    const body = raw === undefined ? {} : { payload: raw, headers: { 'content-type': type } };
    const { statusCode, body: text, headers } = await api.app.inject({ method, url, ...body });
    return { status: statusCode, text, headers, json: (): unknown => JSON.parse(text) };
  };
  return {
    api,
    failed,
    get: (url: string) => send('GET', url),
    post: (url: string, payload?: unknown, type?: string) => send('POST', url, payload, type),
    /** Listens on a free port. */
    url: () => api.app.listen({ host: '127.0.0.1', port: 0 }),
  };
}

let tables = 0;

/** A table of prescriptions of the test's own, and a transaction as long as a request. `log` has what became of each. */
export async function store(url: string, max = 4) {
  const pool = new Pool({ connectionString: url, max, connectionTimeoutMillis: 3000 });
  // A connection that is lent tells of its end by itself: without a listener that ends the process.
  pool.on('error', () => {}).on('connect', (client) => client.on('error', () => {}));
  onTestFinished(() => pool.end());
  const table = `prescriptions_${process.pid}_${++tables}`;
  await pool.query(
    `CREATE TABLE ${table} (medicine text PRIMARY KEY, replaces text REFERENCES ${table} DEFERRABLE INITIALLY DEFERRED)`,
  );
  const log: string[] = [];
  const transaction: Dependency<PoolClient> = provide('transaction', async function* () {
    const client = await pool.connect();
    try {
      await client.query('BEGIN');
      yield client;
      await client.query('COMMIT');
      log.push('COMMIT');
      client.release();
    } catch (error) {
      log.push('ROLLBACK');
      await client.query('ROLLBACK').then(() => client.release(), client.release);
      throw error;
    }
  });
  const add = (client: Pick<PoolClient, 'query'>, medicine: string, replaces?: string) =>
    client.query(`INSERT INTO ${table} VALUES ($1, $2)`, [medicine, replaces]);
  const stored = async (): Promise<unknown[]> =>
    (await pool.query(`SELECT medicine FROM ${table} ORDER BY medicine`)).rows.map(({ medicine }) => medicine);
  return { pool, transaction, add, stored, log, lent: () => pool.totalCount - pool.idleCount };
}

/** A door that stays closed until it is opened. */
export function door() {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: () => resolve() };
}

export const keepAlive = (): Agent => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  return agent;
};

/** A GET on a connection of the agent's. */
export function get(
  url: string,
  agent: Agent,
): Promise<{ status: number; text: string; connection: string; reused: boolean }> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { agent }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('error', reject).on('end', () => {
        const { statusCode: status = 0, headers } = response;
        resolve({ status, text, connection: headers.connection ?? '', reused: request.reusedSocket });
      });
    });
    request.on('error', reject).end();
  });
}

/** A connection by hand, which reads nothing until `read()` is called. */
export function reader(url: string, path: string) {
  const { port, host } = new URL(url);
  const socket = connect(Number(port), '127.0.0.1').pause();
  onTestFinished(() => void socket.destroy());
  const chunks: Buffer[] = [];
  let ended = false;
  socket
    .on('error', () => {})
    .on('close', () => {
      ended = true;
    });
  socket.write(`GET ${path} HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
  const read = () => socket.on('data', (chunk) => void chunks.push(chunk)).resume();
  /** The end of a chunked body. */
  const whole = () => Buffer.concat(chunks.slice(-2)).toString().endsWith('\r\n0\r\n\r\n');
  return { socket, read, whole, text: () => Buffer.concat(chunks).toString(), ended: () => ended };
}
