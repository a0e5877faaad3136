import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startBuilder } from '@shared/services';
import { tell } from '@shared/story';
import { dockerignore, lintDockerfile } from './src/index.ts';
import { buildTwice, bytesOf, ours, type Shipped, secretsIn, TUTORIAL, yard } from './test/builds.ts';
import { contain, whyNoNamespace } from './test/container.ts';
import { corpus } from './test/corpus.ts';
import { customers } from './test/customers.ts';
import { grep, score } from './test/grep.ts';

const GRACE_MS = 1_000;
const CUSTOMERS = 16;
/** As people write it who know Git's. */
const LIKE_GIT = 'node_modules\n.env\n.git\n';

const options = {
  title: 'Docker 容器化部署',
  subtitle: 'A shop in a box: who hears the bell, what is still in the box, and what is packed anew',
  dir: import.meta.dirname,
};
const size = (bytes: number) => (bytes < 1e5 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);
const ms = (value: number) => `${value.toFixed(0)} ms`;

await tell(options, async (story) => {
  await using folder = await yard();
  // Images are built while the first scene plays.
  const starting = startBuilder({ programs: ['head', folder.npm], signal: story.signal });
  const builds = starting.then(async (builder) => {
    if (builder.noRun !== undefined) return undefined;
    const shop = (name: string, dockerfile: string, ignore: string) =>
      buildTwice(builder, join(folder.path, name), dockerfile, ignore);
    // One after the other: two builds at once may each miss what the other puts into the cache.
    const tutorial = await shop('tutorial', TUTORIAL, LIKE_GIT);
    const good = await shop('good', await ours('Dockerfile'), await ours('.dockerignore'));
    return { tutorial, good };
  });
  builds.catch(() => {});

  const title = 'The bell at closing time, and who hears it';
  const noNamespace = await whyNoNamespace();
  if (noNamespace !== undefined) story.skip(title, noNamespace);
  else {
    await story.scene(title, async () => {
      story.say(
        `\`docker stop\` rings once: SIGTERM for process 1. After ten seconds (here: ${GRACE_MS} ms) it pulls the plug: ` +
          `SIGKILL. ${CUSTOMERS} customers are at the counter, each answer takes 150 ms. Process 1 is a real one, in a pid ` +
          'namespace of its own: it gets no signal that it has no handler for, and hands none on by itself.',
      );
      const shop = join(import.meta.dirname, 'test/shop.ts');
      await writeFile(join(folder.path, 'start.sh'), `#!/bin/sh\necho open\n${process.execPath} ${shop} drain\n`);
      const start = `"start": "${process.execPath} ${shop} drain"`;
      await writeFile(join(folder.path, 'package.json'), `{ "name": "shop", "scripts": { ${start} } }`);
      const node = (how: string) => [process.execPath, shop, how];
      const closing = async (label: string, command: readonly string[], graceMs = GRACE_MS) => {
        await using box = await contain(command, folder.path);
        const visits = customers(box.url, CUSTOMERS, story.signal);
        await delay(250);
        const { killed, took } = await box.stop(graceMs);
        const { served, lost } = await visits;
        return { label, pid: box.pid, killed, took, served, lost };
      };
      const [script, npm, deaf] = await Promise.all([
        closing('a script: node server.js', ['sh', 'start.sh']),
        closing('["npm", "start"]', ['npm', 'start']),
        closing('["node"], no handler', node('none')),
      ]);
      const hasty = await closing('["node"], exit at once', node('exit'));
      // It needs a third of a second, and on a slow machine longer.
      const drained = await closing('["node"], Drain', node('drain'), 5 * GRACE_MS);
      const ways = [script, npm, deaf, hasty, drained];
      story.table({
        caption: 'One stop, five ways to start',
        columns: ['started as', 'its number', 'stopped', 'by', 'answers lost'],
        rows: ways.map(({ label, pid, took, killed, lost }) => [
          label,
          pid,
          ms(took),
          killed ? 'SIGKILL' : 'itself',
          lost,
        ]),
      });
      story.bars({
        title: `Answers lost of ${CUSTOMERS} in flight`,
        items: ways.map(({ label, lost }) => ({ label, value: lost, tone: lost > 0 ? 'bad' : 'good' })),
        picture: true,
      });
      story.verdict(
        'A shell as process 1 keeps the bell to itself, though the program would have heard it',
        `the program is number ${script.pid}; ${script.lost} of ${CUSTOMERS} answers lost after ${ms(script.took)}`,
        script.pid !== 1 && script.killed && script.lost > 0,
      );
      story.verdict(
        'npm is no better a doorkeeper',
        `number ${npm.pid}, ${npm.lost} lost`,
        npm.pid !== 1 && npm.lost > 0,
      );
      story.verdict(
        'As process 1 without a handler node does not hear it either; one that exits at once is quick, and as bad',
        `${deaf.lost} lost after ${ms(deaf.took)}, ${hasty.lost} lost after ${ms(hasty.took)}`,
        deaf.killed && deaf.lost > 0 && !hasty.killed && hasty.lost > 0,
      );
      story.code('src/shutdown.ts', { from: 'for (const response of this.inFlight)', to: 'const cut = ' });
      story.verdict(
        'Process 1 itself, told to answer those at the counter and let nobody in any more, loses none',
        `${drained.lost} of ${drained.served + drained.lost}, closed after ${ms(drained.took)}`,
        drained.pid === 1 && !drained.killed && drained.lost === 0 && drained.served > 0,
      );
    });
  }

  const { noRun = '' } = await story.use(starting);
  const built = await builds;
  const packed = 'What was thrown away is still in the box';
  const letter = 'One letter changed: what is packed anew';
  if (built === undefined) {
    for (const scene of [packed, letter]) story.skip(scene, noRun);
  } else {
    const { tutorial, good } = built;
    await story.scene(packed, async () => {
      story.say(
        'An image is a stack of transparent sheets. What a sheet paints over is still on the one below. The tutorial: ' +
          '`COPY . .`, then `RUN npm install && rm .npmrc`; its .dockerignore says `node_modules`, `.env`, `.git`.',
      );
      const [leaked, clean] = [await secretsIn(tutorial.first.layers), await secretsIn(good.first.layers)];
      story.table({
        caption: 'Read back from the tutorial’s layers',
        columns: ['sheet, file, text'],
        rows: leaked.map((each) => [each]),
      });
      story.verdict(
        'The token that `rm` took away is read back from the layer before',
        `${leaked.filter((each) => each.includes('.npmrc')).length} file with it`,
        leaked.some((each) => each.includes('_authToken')),
      );
      const isIn = (path: string) => tutorial.first.layers.some(({ files }) => files.includes(`app/${path}`));
      const agreed = tutorial.files.filter((path) => isIn(path) === dockerignore(LIKE_GIT)(path));
      story.verdict(
        'A .dockerignore is no .gitignore: `.env` is the one at the top, the till’s goes along',
        `till/.env ${isIn('till/.env') ? 'is' : 'is not'} in the image, .env ${isIn('.env') ? 'is' : 'is not'}; ` +
          `dockerignore() said so of ${agreed.length} of ${tutorial.files.length} files`,
        isIn('till/.env') && !isIn('.env') && agreed.length === tutorial.files.length,
      );
      story.code('src/Dockerfile', { from: 'RUN --mount=type=secret' });
      const registry = good.first.layers.find(({ files }) => files.includes('app/node_modules/shop/registry'));
      const read = registry === undefined ? '' : await registry.read('app/node_modules/shop/registry');
      story.verdict(
        'With a secret mount the token was there for the install, and is in no layer',
        `npm read "${read}…"; ${clean.length} secrets in ${good.first.layers.length} layers`,
        read === '//reg' && clean.length === 0,
      );
    });

    await story.scene(letter, async () => {
      story.say(
        'A sheet is taken from the pile again while nothing above it has changed. One letter of src/server.ts changes. ' +
          '(No registry here: `npm` is played by a script that brings 3 MB, and 6 MB for developers.)',
      );
      const again = ({ first, second }: { first: Shipped; second: Shipped }) => {
        const had = new Set(first.layers.map(({ digest }) => digest));
        const fresh = second.layers.filter(({ digest }) => !had.has(digest));
        const steps = second.steps.filter(({ cached, instruction }) => !cached && !instruction.startsWith('FROM'));
        const installed = steps.some(({ instruction }) => /npm (?:install|ci)/.test(instruction));
        return { installed, push: bytesOf(fresh), size: bytesOf(second.layers) };
      };
      const [bad, well] = [again(tutorial), again(good)];
      story.table({
        columns: ['Dockerfile', 'installed anew', 'to push', 'image'],
        rows: [
          ['everything first', bad.installed ? 'yes' : 'no', size(bad.push), size(bad.size)],
          ['lockfile first', well.installed ? 'yes' : 'no', size(well.push), size(well.size)],
        ],
      });
      story.verdict(
        'The dependencies come from the cache when they are installed before the source is copied',
        `${size(bad.push)} to push after one letter, or ${size(well.push)}`,
        bad.installed && !well.installed && well.push * 100 < bad.push,
      );
      story.verdict(
        'Two stages ship what runs, not what built it',
        `${size(bad.size)}, or ${size(well.size)}`,
        well.size < bad.size / 1.5,
      );
    });
  }

  await story.scene('Words, or grammar', async () => {
    const all = corpus.flatMap(({ defects }) => defects);
    story.say(
      `${corpus.length} Dockerfiles with ${all.length} planted defects, and with what only looks like one: a heredoc, a ` +
        'comment, a stage that is not shipped. First `grep`, a line at a time; then a parser and the rules of src/.',
    );
    const words = score(({ text }) => grep(text));
    const grammar = score(({ text, context }) =>
      lintDockerfile(text, { ...(context && { context }) }).findings.map(
        ({ rule, span }) => `${rule}:${span.start.line}`,
      ),
    );
    const percent = (value: number) => `${(value * 100).toFixed(0)} %`;
    story.table({
      columns: ['', 'found', 'missed', 'false alarms', 'precision', 'recall'],
      rows: [
        ['grep', words.found, words.missed, words.alarms, percent(words.precision), percent(words.recall)],
        ['linter', grammar.found, grammar.missed, grammar.alarms, percent(grammar.precision), percent(grammar.recall)],
      ],
    });
    story.verdict(
      'grep misses, and cries wolf',
      `${words.missed} and ${words.alarms}`,
      words.missed > 0 && words.alarms > 0,
    );
    story.verdict(
      'The linter finds what was planted, and nothing else',
      `${grammar.found} of ${all.length}, ${grammar.alarms} false alarms`,
      grammar.missed === 0 && grammar.alarms === 0,
    );
    const [tutorial, own] = [lintDockerfile(TUTORIAL), lintDockerfile(await ours('Dockerfile'))];
    story.verdict(
      'It would have told of all that went wrong above; of the Dockerfile that comes along it tells nothing',
      `${tutorial.findings.map(({ rule }) => rule).join(', ')}; ${own.findings.length}`,
      ['DL3025', 'CL1004', 'CL1005'].every((id) => tutorial.findings.some(({ rule }) => rule === id)) &&
        own.findings.length === 0,
    );
  });
});
