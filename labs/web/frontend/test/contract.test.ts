import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { CONTRACT, DESK_CONTRACT, TYPES, typesOf } from './generate.ts';
import { compiledAfter } from './rename.ts';

describe('the contract', () => {
  test('the contract is the order desk’s own, and the types are what it says today', async () => {
    expect(await readFile(CONTRACT, 'utf8'), 'after a change: pnpm run generate').toBe(
      await readFile(DESK_CONTRACT, 'utf8'),
    );
    expect(await readFile(TYPES, 'utf8')).toBe(await typesOf(await readFile(CONTRACT, 'utf8')));
  });

  test('what the server renames, and what it never had, does not compile, at its line in both views', {
    timeout: 30_000,
  }, async () => {
    const wrong = `import type { Api } from './src/index.ts';
declare const api: Api;
api.GET('/boks');
api.GET('/books', { params: { query: { qq: 'dune' } } });
api.POST('/orders', { params: { header: {} }, body: { lines: [], deliverTo: '', note: '' } });
api.POST('/orders', { params: { header: { 'idempotency-key': '1' } }, body: { lines: [{ isbn: 1, quantity: 1 }], deliverTo: '', note: '' } });
api.GET('/books', { params: { query: { q: 'dune' } } });
`;
    const found = await compiledAfter({ from: 'title', to: 'name' }, { 'wrong.ts': wrong });
    const inViews = found.filter(({ where }) => !where.startsWith('wrong'));
    for (const { text, where } of inViews) expect(text, where).toMatch(/Property 'title' does not exist/);
    expect(new Set(inViews.map(({ where }) => where.split(':')[0]))).toEqual(new Set(['src/react.tsx', 'src/vue.ts']));
    const lines = found.filter(({ where }) => where.startsWith('wrong')).map(({ where }) => where);
    expect(new Set(lines)).toEqual(new Set([3, 4, 5, 6].map((line) => `wrong.ts:${line}`)));
  });
});
