import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

/** Lends servers to the processes that have `env` in their environment. */
export interface Lessor extends AsyncDisposable {
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Lends the servers that a lab's suite asks for; undefined for a package without servers, or one that is no lab: that
 * tests the start itself, perhaps. This package cannot depend on @shared/services, whose own tests run by it.
 *
 * @param ahead start what the next borrower is likely to ask for
 */
export async function lessorOf(root: string, ahead: boolean): Promise<Lessor | undefined> {
  const path = lessorFor(join(root, 'package.json'));
  if (path === undefined) return undefined;
  const child = fork(path, ahead ? ['ahead'] : []);
  const { promise, resolve, reject } = Promise.withResolvers<Record<string, string>>();
  child.once('message', (env: Record<string, string>) => resolve(env));
  child.once('error', reject);
  child.once('exit', (code) => reject(new Error(`the process that lends servers ended (exit code ${code})`)));
  const env = await promise;
  return {
    env,
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      if (child.connected) child.disconnect();
      await ended;
    },
  };
}

function lessorFor(manifest: string): string | undefined {
  if (referenceOf(manifest) === undefined) return undefined;
  try {
    return createRequire(manifest).resolve('@shared/services/lessor');
  } catch {
    return undefined;
  }
}

/** What a package's import map says of `#lab`, relative to it; undefined for one that is no lab. */
export function referenceOf(manifest: string): string | undefined {
  const { imports }: { imports?: Record<string, string> } = JSON.parse(readFileSync(manifest, 'utf8'));
  return imports?.['#lab'];
}
