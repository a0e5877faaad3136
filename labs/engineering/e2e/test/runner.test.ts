import { glob, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startBrowser, startPostgres } from '@shared/services';
import { describeWith } from '@shared/testkit';
import { afterAll, expect, test } from 'vitest';
import { readReport, type Told } from '#lab';
import { type Run, runSpecs } from './runner.ts';
import { namesIn } from './zip.ts';

/** Workers that start an app, beside other suites. Alone it is a few seconds for all of these laws. */
const BUSY = { timeout: 200_000 };

await describeWith(
  'in Playwright’s runner',
  { browser: () => startBrowser(), postgres: () => startPostgres() },
  (servers) => {
    const { browser, postgres } = servers;
    const bin = new AsyncDisposableStack();
    afterAll(() => bin.disposeAsync());
    let begun: Promise<{ run: Run; told: readonly Told[] }> | undefined;
    /** One run for all laws: two tests that pass and one that fails, in one worker. */
    const run = () => {
      begun ??= (async () => {
        const ended = bin.use(await runSpecs({ adminUrl: postgres.url, cdpUrl: browser.url, args: ['notes'] }));
        return { run: ended, told: readReport(ended.report) };
      })();
      return begun;
    };

    test('each test meets the rows of its own and a session of its user’s, who signed in once', BUSY, async () => {
      const { told } = await run();
      expect(told).toHaveLength(4);
      for (const { name, verdict, error } of told.slice(0, 2))
        expect([verdict, error], name).toEqual(['passed', undefined]);
    });

    test('a test whose assertions all hold fails when its page has thrown', BUSY, async () => {
      const { told } = await run();
      expect(told[3]).toMatchObject({
        verdict: 'failed',
        attempts: ['failed'],
        error: expect.stringMatching(/^NoisyPageError/),
      });
      expect((await run()).run.exitCode).toBe(1);
    });

    test('who skips himself half-way has promised nothing', BUSY, async () => {
      const { told } = await run();
      expect(told[2]).toMatchObject({ verdict: 'skipped' });
    });

    test(
      'what failed leaves a trace that opens, with what the page showed, and what passed leaves none',
      BUSY,
      async () => {
        const { run: ended } = await run();
        const files = (await Array.fromAsync(glob('**/*.{zip,png}', { cwd: ended.folder }))).sort();
        for (const file of files) expect(file, 'the evidence').toMatch(/throws.*(\/trace\.zip|\.png)$/);
        expect(files, 'a picture and a trace').toEqual(
          expect.arrayContaining([expect.stringMatching(/\.png$/), expect.stringMatching(/\/trace\.zip$/)]),
        );
        const names = namesIn(await readFile(join(ended.folder, files.at(-1) ?? '')));
        expect(names).toEqual(
          expect.arrayContaining([expect.stringMatching(/\.trace$/), expect.stringMatching(/\.network$/)]),
        );
        expect(
          names.filter((name) => name.startsWith('resources/')).length,
          'what the page had loaded',
        ).toBeGreaterThan(0);
      },
    );
  },
);
