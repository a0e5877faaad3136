// `pnpm fix [NAME…] [--fresh]`: renews the copies of other labs, formats, and fills the generated stretches of the pages:
// quoted code, sample runs, the pictures, the index. A run or picture is replaced where it differs in more than its
// figures; --fresh takes new figures too.
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { maskFigures } from '@shared/story/read';
import { describeError, exit, exitCodeOf, UsageError } from '../errors.ts';
import { findLabs, type Lab } from '../labs.ts';
import { type Block, blocksOf, codeContent, indexContent, runContent, sameRun, withBlocks } from './blocks.ts';
import { type DemoRun, demoRuns } from './demo-runs.ts';
import { bins, execBin } from './exec.ts';
import { textOf } from './files.ts';
import { namedLabs } from './named.ts';
import { Scratch } from './scratch.ts';
import { renewVendored } from './vendor.ts';

const root = resolve(process.env['LABS_ROOT'] ?? resolve(import.meta.dirname, '../../../..'));
// Servers of our own, whatever else answers on this machine: they alone may be killed, and two runs are alike.
process.env['LABS_SERVICES'] ??= 'embedded';
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => process.exit(exit.interrupted));

try {
  process.exitCode = await main();
} catch (error) {
  console.error(describeError(error, process.env));
  process.exitCode = exitCodeOf(error);
}

async function main(): Promise<number> {
  const { names, fresh } = options();
  const all = await findLabs(root);
  const labs = namedLabs(all, names);
  for (const lab of labs) {
    for (const name of await renewVendored(lab, all)) console.log(`copied ${name} into ${lab.name} again`);
  }
  const paths = names.length === 0 ? ['.'] : labs.map(({ dir }) => relative(root, dir));
  const formatted = await execBin(bins.biome(), ['check', '--write', '--diagnostic-level=error', ...paths], {
    cwd: root,
  });
  console.log(`${formatted.stdout}\n${formatted.stderr}`.trim().split('\n').at(-1));
  if (formatted.code !== 0) console.log('what biome cannot mend by itself: `pnpm check --only biome`');
  await fixIndex(all);
  let code: number = exit.done;
  for (const lab of labs) if (!(await fixLab(lab, fresh))) code = exit.failed;
  return code;
}

function options(): { names: readonly string[]; fresh: boolean } {
  try {
    const { values, positionals } = parseArgs({
      // --lab is another way to say NAME.
      options: { lab: { type: 'string', multiple: true }, fresh: { type: 'boolean' } },
      allowPositionals: true,
    });
    return { names: [...positionals, ...(values.lab ?? [])], fresh: values.fresh ?? false };
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : error}\nusage: pnpm fix [NAME…] [--fresh]`);
  }
}

async function fixIndex(labs: readonly Lab[]): Promise<void> {
  const path = join(root, 'README.md');
  const text = await textOf(path);
  const block = text === undefined ? undefined : blocksOf(text).find(({ kind }) => kind === 'labs');
  if (text !== undefined && block) await save(path, text, withBlocks(text, new Map([[block, indexContent(labs)]])));
}

async function fixLab(lab: Lab, fresh: boolean): Promise<boolean> {
  const path = join(lab.dir, 'README.md');
  const text = await textOf(path);
  if (text === undefined) return true;
  const blocks = blocksOf(text);
  const contents = new Map<Block, string>();
  for (const block of blocks) if (block.kind === 'code') contents.set(block, await codeContent(block, lab.dir));
  const pictured = text.includes('(picture.svg)');
  if (pictured || blocks.some(({ kind }) => kind === 'run')) {
    await using scratch = await Scratch.outside();
    const runs = await demoRuns(pictured ? { svg: () => scratch.dir } : {}).of(lab);
    const bad = runs.filter(({ outcome }) => outcome !== 'told');
    if (bad.length > 0) {
      for (const run of bad) console.log(`${lab.name} ${run.file}: ${run.outcome}\n${run.evidence}`);
      return false;
    }
    await timed(lab, runs[0]?.ms ?? 0);
    for (const [block, content] of runContents(blocks, runs, fresh)) contents.set(block, content);
    if (pictured) await redraw(lab, scratch, fresh);
  }
  await save(path, text, withBlocks(text, contents));
  return true;
}

/** What the demo takes stands on the map of `pnpm lab web`: roughly, since every run takes another time. */
async function timed(lab: Lab, ms: number): Promise<void> {
  const now = Math.max(1, Math.round(ms / 1000));
  const { seconds } = lab;
  if (seconds !== undefined && now < seconds * 2 && seconds < now * 2) return;
  const path = join(lab.dir, 'package.json');
  const text = await readFile(path, 'utf8');
  const manifest = JSON.parse(text);
  manifest.lab.seconds = now;
  await save(path, text, `${JSON.stringify(manifest, undefined, 2)}\n`);
}

function runContents(blocks: readonly Block[], runs: readonly DemoRun[], fresh: boolean): readonly [Block, string][] {
  return blocks
    .filter(({ kind }) => kind === 'run')
    .map((block): [Block, string] => [block, runContent(block, runs)])
    .filter(([block, content]) => fresh || !sameRun(block.content, content));
}

async function redraw(lab: Lab, scratch: Scratch, fresh: boolean): Promise<void> {
  const drawn = await textOf(scratch.path('picture.svg'));
  if (drawn === undefined) return;
  const path = join(lab.dir, 'picture.svg');
  const now = await textOf(path);
  if (!fresh && now !== undefined && words(now) === words(drawn)) return;
  await copyFile(scratch.path('picture.svg'), path);
  console.log(`drew ${relative(root, path)}`);
}

/** What a picture says, without its figures and shapes. */
function words(svg: string): string {
  const texts = [...svg.matchAll(/<text[^>]*>([\s\S]*?)<\/text>/g)].map(([, text = '']) =>
    text.replaceAll(/<[^>]+>/g, ''),
  );
  return [...new Set(texts.map((text) => maskFigures(text)))].sort().join('\n');
}

async function save(path: string, before: string, after: string): Promise<void> {
  if (before === after) return;
  await writeFile(path, after);
  console.log(`wrote ${relative(root, path)}`);
}
