// A process that uses up whatever refresh token it is sent, and ends with whoever started it.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Pool } from 'pg';
import { RefreshRefusedError, RefreshTokens } from '#lab';

export interface Clerk extends AsyncDisposable {
  /** @returns the successor, or `refused: …` */
  rotate(token: string): Promise<string>;
}

export async function startClerk(url: string, schema: string, graceMs: number): Promise<Clerk> {
  const child = fork(fileURLToPath(import.meta.url), [JSON.stringify({ url, schema, graceMs })]);
  await once(child, 'message');
  return {
    async rotate(token) {
      child.send(token);
      const [answer] = await once(child, 'message');
      return `${answer}`;
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

if (process.send && process.argv[1] === fileURLToPath(import.meta.url)) {
  process.on('disconnect', () => process.exit());
  const { url, schema, graceMs } = JSON.parse(process.argv[2] ?? '');
  const pool = new Pool({ connectionString: url, options: `-c search_path=${schema}`, application_name: 'clerk' });
  pool.on('error', () => {});
  const tokens = new RefreshTokens({ pool, graceMs });
  process.on('message', async (token: string) => {
    const answer = await tokens.rotate(token).then(
      (it) => it.token,
      (error: unknown) => `refused: ${error instanceof RefreshRefusedError ? error.reason : error}`,
    );
    process.send?.(answer);
  });
  process.send('ready');
}
