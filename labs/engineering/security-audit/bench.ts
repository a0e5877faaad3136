import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tell } from '@shared/story';
import { consensus, contest, ratios, standingsTable } from '@shared/testkit';
import { parseSync } from 'oxc-parser';
import { scan } from './src/index.ts';
import { corpus } from './test/corpus/index.ts';
import { eslintSecurity, grep, write } from './test/peers.ts';

await tell({ title: 'Security audit: what an X-ray costs', dir: import.meta.dirname }, async (story) => {
  const root = await mkdtemp(join(tmpdir(), 'audit-'));
  await using bin = new AsyncDisposableStack();
  bin.defer(() => rm(root, { recursive: true, force: true }));
  const programs = corpus.flatMap(({ bad, good }, index) =>
    Object.entries({ bad, good }).flatMap(([side, given]) => {
      const files = typeof given === 'string' ? { 'app.ts': given } : given;
      return Object.entries(files).map(([name, text]) => [`${index}-${side}/${name}`, text] as const);
    }),
  );
  const files = Object.fromEntries(programs);
  await write(root, files);

  await story.scene(`${programs.length} small files, all of them in each turn`, async () => {
    const [lab, plugin, parser, words] = await contest(
      {
        'this scanner, from the disk': () => scan([root], { root }),
        'eslint-plugin-security, in memory': async () => {
          for (const [name, text] of programs) await eslintSecurity({ [name]: text });
        },
        'oxc-parser alone, in memory': async () => {
          for (const [name, text] of programs) parseSync(name, text, { lang: 'tsx' }).program;
        },
        'grep, in memory': () => grep(files),
      },
      { rounds: 5, turnMs: 700 },
    );
    if (!lab || !plugin || !parser || !words) throw new Error('four contestants');
    story.table(standingsTable([lab, plugin, parser, words]));
    const beside = { plugin: consensus(ratios(lab, plugin)), parser: consensus(ratios(lab, parser)) };
    story.verdict(
      'Bindings, flows and rules cost no more than a linter with a parser in JavaScript',
      `${beside.plugin.text} of the plugin's speed; ${beside.parser.text} of the parser alone`,
      beside.plugin.median > 0.8,
    );
  });
});
