import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { startFolder } from '@shared/services';

export interface RunnerOptions {
  readonly adminUrl: string;
  readonly cdpUrl: string;
  /** Arguments of `playwright test`. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export interface Run extends AsyncDisposable {
  /** Of the runner: 0 when it is content. */
  readonly exitCode: number;
  /** Of `--reporter=json`. */
  readonly report: unknown;
  /** What it printed beside it. */
  readonly printed: string;
  /** Where each failed test has left its evidence. */
  readonly folder: string;
}

/** Playwright's own runner on test/specs, in a process of its own. `#lab` is there what it is here. */
export async function runSpecs({ adminUrl, cdpUrl, args = [], env = {}, signal }: RunnerOptions): Promise<Run> {
  await using begun = new AsyncDisposableStack();
  const { path: folder } = begun.use(await startFolder('e2e-run'));
  const cli = join(dirname(createRequire(import.meta.url).resolve('@playwright/test/package.json')), 'cli.js');
  const file = join(folder, 'report.json');
  const { NODE_V8_COVERAGE: _, VITEST: __, TEST: ___, ...rest } = process.env;
  const ran = await new Promise<{ exitCode: number; printed: string }>((resolve) => {
    execFile(
      process.execPath,
      [
        cli,
        'test',
        '-c',
        join(import.meta.dirname, 'specs/playwright.config.ts'),
        '--reporter=json',
        '--workers=1',
        ...args,
      ],
      {
        timeout: 180_000,
        killSignal: 'SIGKILL',
        maxBuffer: 64 * 1024 * 1024,
        ...(signal && { signal }),
        env: {
          ...rest,
          // Node reads TypeScript itself: the runner's own compiler is a second for nothing.
          PW_DISABLE_TS_ESM: '1',
          PLAYWRIGHT_JSON_OUTPUT_FILE: file,
          E2E_ADMIN_URL: adminUrl,
          E2E_CDP_URL: cdpUrl,
          E2E_OUT: join(folder, 'evidence'),
          ...env,
        },
      },
      (error, stdout, stderr) => {
        const exitCode = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
        resolve({ exitCode, printed: `${stdout}${stderr}` });
      },
    );
  });
  const text = await readFile(file, 'utf8').catch(() => '');
  if (text === '') throw new Error(`Playwright's runner has left no report: ${ran.printed.slice(-2000)}`);
  const stack = begun.move();
  return {
    ...ran,
    report: JSON.parse(text),
    folder: join(folder, 'evidence'),
    [Symbol.asyncDispose]: () => stack[Symbol.asyncDispose](),
  };
}
