// A process that uses up whatever refresh token it is sent, and ends with whoever started it.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Pool } from 'pg';
import { RefreshRefusedError, RefreshTokens } from '#lab';

/** @returns the successor, or `refused: …` */
export function rotated(tokens: RefreshTokens, token: string): Promise<string> {
  return tokens.rotate(token).then(
    (it) => it.token,
    (error: unknown) => `refused: ${error instanceof RefreshRefusedError ? error.reason : error}`,
  );
}

export async function startClerk(url: string, schema: string) {
  const child = fork(fileURLToPath(import.meta.url), [url, schema]);
  await once(child, 'message');
  return {
    /** As `rotated` above, in that process. */
    async rotated(token: string): Promise<string> {
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
  const [, , url = '', schema = ''] = process.argv;
  const pool = new Pool({ connectionString: url, options: `-c search_path=${schema}`, application_name: schema });
  pool.on('error', () => {});
  const tokens = new RefreshTokens({ pool });
  process.on('message', async (token: string) => process.send?.(await rotated(tokens, token)));
  process.send('ready');
}
