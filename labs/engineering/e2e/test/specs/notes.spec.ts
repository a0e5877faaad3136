import { test as base, expect } from '@playwright/test';
import { Pool } from 'pg';
import * as lab from '#lab';
import { given } from '../given.ts';
import { Site } from '../site.ts';

/** A small app on the database that it is given: pages, a sign-in, and a table of notes. */
const test = lab.extend(base, {
  adminUrl: given('E2E_ADMIN_URL'),
  cdpUrl: given('E2E_CDP_URL'),
  parts: lab,
  open: async (databaseUrl) => {
    const site = await Site.open();
    const pool = new Pool({ connectionString: databaseUrl, max: 1 });
    pool.on('error', () => {});
    await pool.query('CREATE TABLE notes (id serial PRIMARY KEY, text text NOT NULL)');
    return {
      site,
      url: site.url,
      /** Its number. */
      note: async (text: string) =>
        (await pool.query<{ id: number }>('INSERT INTO notes (text) VALUES ($1) RETURNING id', [text])).rows[0]?.id,
      notes: async () => (await pool.query<{ text: string }>('SELECT text FROM notes')).rows.map(({ text }) => text),
      [Symbol.asyncDispose]: async () => {
        await pool.end();
        await site[Symbol.asyncDispose]();
      },
    };
  },
  signIn: async (page) => void (await page.goto('/enter')),
  isGood: async (context) => (await context.request.get('/whoami')).ok(),
});

test.use({ user: 'anna' });

for (const text of ['buy milk', 'buy tea'])
  test(`to ${text} is the only note, and number 1`, async ({ page, app, network, guard }) => {
    network.answer('/late', 503, { times: 1 });
    guard.announce('status of 503');
    await page.goto(app.site.page('<label>Note <input></label>'));
    const statuses = await page.evaluate(async () => [(await fetch('/whoami')).status, (await fetch('/late')).status]);
    expect(statuses).toEqual([204, 503]);
    expect([await app.note(text), await app.notes()]).toEqual([1, [text]]);
    expect(app.site.sessions, 'sign-ins of all tests').toBe(1);
  });

test('skips itself half-way', async ({ network, guard }) => {
  network.reset('/never');
  guard.announce('never');
  test.skip();
});

// Fails, and ought to: runner.test.ts and the story look at what it says and leaves behind. Last: a worker ends with a failure.
test('the page throws behind the last assertion', async ({ page, app }) => {
  await page.goto(app.site.page('<script>setTimeout(() => { throw new Error("nobody looks") })</script>'));
  await expect(page.getByRole('heading', { name: 'A page' })).toBeVisible();
});
