import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { startFolder } from '@shared/services';
import { tell } from '@shared/story';
import { contest, random, ratio, standingsTable } from '@shared/testkit';
import parsePeer from 'parse-diff';
import { type Changes, diffCoverage, parseDiff, parseLcov, percent } from './src/index.ts';
import { edit } from './test/edits.ts';
import { write } from './test/workshop.ts';

const run = promisify(execFile);
const CHANGES = 400;

/** What npm's parse-diff finds, in our terms. */
const peer = (diff: string): Changes =>
  new Map(
    parsePeer(diff).map(({ to = '', chunks }) => {
      const added = chunks.flatMap(({ changes }) => changes.flatMap((it) => (it.type === 'add' ? [it] : [])));
      return [to, new Map(added.map(({ ln, content }) => [ln, content.slice(1)]))] as const;
    }),
  );
const shape = (changes: Changes) => JSON.stringify([...changes].map(([path, lines]) => [path, [...lines.keys()]]));

await tell({ title: 'Coverage: beside parse-diff and diff-cover', dir: import.meta.dirname }, async (story) => {
  const dice = random(20_261);
  const edits = Array.from({ length: CHANGES }, (_, index) => edit(`src/file-${index}.ts`, dice, 3)).filter(
    ({ diff }) => diff,
  );

  await story.scene('Changes with lines that look like something else, read right', async () => {
    const right = (parse: (diff: string) => Changes) =>
      edits.filter(({ diff, added }, index) => {
        const path = /^\+\+\+ b\/(.*)$/m.exec(diff)?.[1] ?? `${index}`;
        return shape(parse(diff)) === shape(new Map([[path, added]]));
      }).length;
    const [ours, theirs] = [right(parseDiff), right(peer)];
    story.table({
      columns: ['', `right, of ${edits.length}`],
      rows: [
        ['this lab', ours],
        ['parse-diff 0.12.0', theirs],
      ],
    });
    story.verdict(
      'All are read as they were made',
      `${ours} of ${edits.length}; parse-diff: ${theirs}`,
      ours === edits.length,
    );
  });

  await story.scene('One long diff', async () => {
    const diff = edits.map((it) => it.diff).join('');
    const standings = await contest(
      { 'this lab': async () => parseDiff(diff), 'parse-diff 0.12.0': async () => peer(diff) },
      { turnMs: 300 },
    );
    story.table(standingsTable(standings));
    const [a, b] = standings;
    if (a && b)
      story.verdict(
        'It keeps up with its peer, which keeps the context too',
        `${ratio(a, b).toFixed(2)} × parse-diff`,
        ratio(a, b) > 0.5,
      );
  });

  await using folder = await startFolder('coverage-bench');
  const files = {
    'lcov.info': 'SF:src/a.ts\nDA:1,1\nDA:2,0\nend_of_record\n',
    'change.diff': ['a.ts', 'unloaded.ts']
      .map(
        (name) =>
          `diff --git a/src/${name} b/src/${name}\nnew file mode 100644\n--- /dev/null\n+++ b/src/${name}\n@@ -0,0 +1,2 @@\n+one\n+two\n`,
      )
      .join(''),
  };
  await write(folder.path, files);
  const args = ['lcov.info', '--diff-file', 'change.diff', '--total-percent-float'];
  // It asks git where the repository is, for a diff in a file too.
  const program = async () => {
    await run('git', ['init', '--quiet'], { cwd: folder.path });
    return run('diff-cover', args, { cwd: folder.path });
  };
  const said = await program().then(
    ({ stdout }) => stdout,
    () => undefined,
  );
  const title = 'Python’s diff-cover, of a change with a file that no test loads';
  if (said === undefined)
    story.skip(title, 'no git, or no diff-cover, on PATH: `pip install diff-cover`, in an environment of yours');
  else
    await story.scene(title, async () => {
      const theirs = /Coverage: *([\d.]+)%/.exec(said)?.[1] ?? 'no figure';
      const ours = diffCoverage(parseLcov(files['lcov.info']), parseDiff(files['change.diff']));
      story.table({
        columns: ['', 'of the changed lines covered'],
        rows: [
          ['this lab', percent(ours)],
          ['diff-cover', `${theirs} %`],
        ],
      });
      story.verdict(
        'Here the file counts, there it is passed over',
        `${percent(ours)} and ${theirs} %`,
        ours.covered * 4 === ours.total,
      );
    });
});
