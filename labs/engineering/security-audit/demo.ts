import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tell } from '@shared/story';
import { scan as silenced } from './pitfalls/nosec-silences-all.ts';
import { scan as alone } from './pitfalls/one-function.ts';
import { scan as numbered } from './pitfalls/prints-with-line-numbers.ts';
import { scan as skipping } from './pitfalls/skips-what-it-cannot-parse.ts';
import { type ScanOptions, scan, toSarif } from './src/index.ts';
import { corpus } from './test/corpus/index.ts';
import { eslintSecurity, grep, ours, type Scan, score, secretlint, write } from './test/peers.ts';

const percent = (share: number) => `${(100 * share).toFixed(0)} %`;

const options = {
  title: 'Security audit 代码安全审计',
  subtitle: 'The security checkpoint: who looks at letters, and who looks into the bag',
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  const root = await mkdtemp(join(tmpdir(), 'audit-'));
  await using bin = new AsyncDisposableStack();
  bin.defer(() => rm(root, { recursive: true, force: true }));
  let folders = 0;
  /** Scans these files in a folder of their own. */
  const look = async (files: Record<string, string>, variant: Scan = scan, given: ScanOptions = {}) => {
    const folder = join(root, String(++folders));
    await mkdir(folder);
    await write(folder, files);
    return variant([folder], { root: folder, ...given });
  };

  await story.scene('A guard who looks at letters', async () => {
    story.say(
      `${corpus.length} programs with a planted fault, and each once more without it. The guard with a list of words ` +
        '(eval, exec, password, SELECT …) stops whoever has such a word in his diary. The one with the X-ray sees what ' +
        'is in the bag: a tree of calls and texts, and where each text comes from.',
    );
    const tools = [
      ['grep', grep],
      ['eslint-plugin-security', eslintSecurity],
      ['secretlint', await secretlint()],
      ['this scanner', ours()],
    ] as const;
    const rows = [];
    for (const [name, judge] of tools) rows.push({ name, ...(await score(judge)) });
    const [words, plugin, keys, own] = rows;
    if (!words || !plugin || !keys || !own) return;
    story.table({
      columns: ['who looks', 'faults found', 'false alarms', 'precision', 'recall'],
      rows: rows.map(({ name, found, faults, alarms, precision, recall }) => [
        name,
        `${found} of ${faults}`,
        `${alarms} of ${faults}`,
        percent(precision),
        percent(recall),
      ]),
    });
    story.bars({
      title: 'Of 50 faults, found',
      unit: 'faults',
      picture: true,
      items: rows.map(({ name, found }) => ({ label: name, value: found, tone: name === own.name ? 'good' : 'bad' })),
    });
    story.verdict(
      'A list of words is no better than a coin: half of what it says is false, half of the faults it misses',
      `precision ${percent(words.precision)}, recall ${percent(words.recall)}`,
      words.alarms > 15 && words.recall < 0.7,
    );
    story.verdict(
      'The tree finds most of them, and says so before it is believed',
      `precision ${percent(own.precision)}, recall ${percent(own.recall)}`,
      own.precision > 0.9 && own.recall > 0.9 && own.recall < 1,
    );
    story.say(
      'The corpus is ours, and the rules were written with it in view: strange code does worse. secretlint looks for ' +
        'keys of known form only, and the plugin for a dozen kinds of call; neither claims the rest.',
    );
  });

  await story.scene('The roadmap’s own examples', async () => {
    const program = {
      'app.ts': `const dbPassword = 'admin123';
const query = "SELECT * FROM users WHERE name = '" + userInput + "'";
import { execSync } from 'node:child_process';
execSync('rm -rf /');
execSync('rm -rf /srv/' + process.argv[2]);
const key = Math.floor(Math.random() * 100) + 1;
const secretKey = 'b7-Xk29'; // nosec（告诉 Bandit 别检查这行）`,
    };
    const { findings } = await look(program);
    const at = (line: number) => findings.filter(({ span }) => span.start.line === line).map(({ rule }) => rule);
    story.table({
      columns: ['line', 'found'],
      rows: program['app.ts'].split('\n').map((text, index) => {
        const short = text.length > 46 ? `${text.slice(0, 43)}…` : text;
        return [short, at(index + 1).join(', ') || '–'];
      }),
    });
    story.verdict(
      'Password, SQL and random key are found',
      [1, 2, 6].flatMap(at).join(', '),
      [1, 2, 6].every((line) => at(line).length === 1),
    );
    story.verdict(
      'Who can write `rm -rf /` into the code needs no hole: the hole is a text that comes from outside',
      `line 4: ${at(4).length} findings, line 5: ${at(5).join()}`,
      at(4).length === 0 && at(5).includes('command-injection'),
    );
    story.verdict(
      'A bare nosec is no excuse, whatever it is told in brackets: it is reported, and the line with it',
      at(7).join(', '),
      at(7).length === 2,
    );
  });

  await story.scene('A letter bomb goes through three hands', async () => {
    story.say('The handler knows the stranger, and not the file. The store knows the file, and not the stranger.');
    const files = {
      'app.ts': `import { load } from './store.ts';
app.get('/page', ({ query: { page } }) => load(page.trim()));
app.get('/home', () => load('home'));`,
      'store.ts': `import { basename, join } from 'node:path';
import { readFile } from 'node:fs/promises';
const place = (name) => join('/srv/pages', name);
export const load = (name) => readFile(place(name));`,
    };
    const single = await look(files, alone);
    const { findings } = await look(files);
    for (const { file, span, rule, message } of findings) story.say(`${file}:${span.start.line} ${rule}: ${message}`);
    story.code('src/flow.ts', { from: 'const given = known.get(of);', to: 'const flows' });
    story.verdict(
      'Looked at one function at a time, nobody carries anything',
      `${single.findings.length} findings; through both files: ${findings.length}`,
      single.findings.length === 0 && findings.length === 1,
    );
    const clean = await look({ ...files, 'store.ts': files['store.ts'].replace("', name)", "', basename(name))") });
    const html = await look({ ...files, 'store.ts': files['store.ts'].replace("', name)", "', escapeHtml(name))") });
    story.verdict(
      'basename disarms a path, escapeHtml does not: each cleaner is for one place',
      `${clean.findings.length} and ${html.findings.length} findings`,
      clean.findings.length === 0 && html.findings.length === 1,
    );
  });

  await story.scene('The paperwork', async () => {
    const line = "eval(config); // nosec code-injection our own file\ncreateHash('md5', eval(text)); // nosec\n";
    const files = { 'app.ts': `import { createHash } from 'node:crypto';\n${line}` };
    const [quiet, strict] = [await look(files, silenced), await look(files)];
    story.verdict(
      'Two faults behind one bare nosec are silent; a reason has to name what it excuses',
      `${quiet.findings.length} findings; with rules and reasons ${strict.findings.length}, and ${strict.suppressed.length} excused`,
      quiet.findings.length === 0 && strict.findings.length === 3 && strict.suppressed.length === 1,
    );
    const old = Object.fromEntries(
      corpus.map(({ bad }, index) => [`${index}.ts`, typeof bad === 'string' ? bad : (bad['app.ts'] ?? '')]),
    );
    const moved = Object.fromEntries(Object.entries(old).map(([name, text]) => [name, `// a licence\n${text}`]));
    const again = async (variant: Scan) => {
      const { prints } = await look(old, variant);
      const { findings } = await look(moved, variant, { baseline: prints });
      return { before: prints.length, fresh: findings.length };
    };
    const [byLine, byText] = [await again(numbered), await again(scan)];
    story.verdict(
      'A licence above each file: a baseline of line numbers has forgotten everything',
      `${byLine.fresh} of ${byLine.before} old findings are new; by text ${byText.fresh} of ${byText.before}`,
      byLine.fresh === byLine.before && byText.fresh === 0 && byText.before > 30,
    );
    const broken = { 'app.ts': 'eval(req.query.x', 'other.ts': 'export {};' };
    const [blind, told] = [await look(broken, skipping), await look(broken)];
    story.verdict(
      'A bag that cannot be opened does not pass',
      `skipped: exit ${blind.exitCode}; told: ${told.findings.map(({ rule }) => rule).join()}, exit ${told.exitCode}`,
      blind.exitCode === 0 && told.exitCode === 1,
    );
    const sarif = JSON.stringify(toSarif(await look(old)));
    story.say(`As SARIF 2.1.0, which code hosts show beside the lines: ${(sarif.length / 1024).toFixed(0)} kB.`);
  });

  await story.scene('What the X-ray does not see', async () => {
    const missed = [];
    for (const twin of corpus) {
      const files = typeof twin.bad === 'string' ? { 'app.ts': twin.bad } : twin.bad;
      if ((await look(files)).exitCode === 0) missed.push([twin.rule, Object.values(files).join('\n').split('\n')]);
    }
    story.say(
      'Known misses of the corpus: a name put together at run time, SQL from a join, a method of an instance, a list that ' +
        'is filled. One false alarm: a check in a function of its own. An audit ends with somebody who thinks.',
    );
    const here = join(import.meta.dirname, 'src');
    const own = await scan([here], { root: here });
    story.verdict(
      'It finds what it knows, and no more',
      `${missed.length} of ${corpus.length} faults missed; ${own.findings.length} findings in its own ${own.files} files`,
      missed.length > 0 && own.findings.length === 0,
    );
  });
});
