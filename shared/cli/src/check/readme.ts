import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import GithubSlugger from 'github-slugger';
import type { Lab } from '../labs.ts';
import { type Block, BlockError, blocksOf, codeContent, indexContent, runContent, sameRun } from './blocks.ts';
import type { Demos } from './demo-runs.ts';
import { filesUnder, textOf } from './files.ts';
import type { Finding, Gate } from './gate.ts';
import { headingsOf, linksOf } from './markdown.ts';

export const readme: Gate = {
  name: 'readme',
  why: 'what the pages show is what the code is and does today, and every link leads somewhere',
  scope: 'lab',
  async run({ root, labs, narrowed, demos }) {
    const findings: Finding[] = [];
    if (!narrowed) findings.push(...(await checkIndex(root, labs)));
    for (const lab of labs) findings.push(...(await checkBlocks(root, lab, demos)));
    const pages = narrowed
      ? await Promise.all(labs.map((lab) => pagesUnder(root, lab.dir)))
      : [await pagesUnder(root, root)];
    const links = await Promise.all(pages.flat().map((page) => checkLinks(root, page)));
    return [...findings, ...links.flat()];
  },
};

async function checkIndex(root: string, labs: readonly Lab[]): Promise<Finding[]> {
  const where = 'README.md';
  const text = await textOf(join(root, where));
  if (text === undefined)
    return [{ where, what: 'is missing', remedy: 'write it, with <!-- labs --> and <!-- /labs -->' }];
  try {
    const block = blocksOf(text).find(({ kind }) => kind === 'labs');
    if (block === undefined) {
      const remedy = 'put <!-- labs --> and <!-- /labs --> where it belongs, each on its own line, and run `pnpm fix`';
      return [{ where, what: 'has no index of the labs', remedy }];
    }
    if (block.content.trim() === indexContent(labs)) return [];
    return [{ where: `${where}:${block.line}`, what: 'its index is not that of the labs', remedy: 'run `pnpm fix`' }];
  } catch (error) {
    return [unfillable(where, error)];
  }
}

async function checkBlocks(root: string, lab: Lab, demos: Demos): Promise<Finding[]> {
  const where = relative(root, join(lab.dir, 'README.md'));
  const text = await textOf(join(lab.dir, 'README.md'));
  if (text === undefined) return [];
  const findings: Finding[] = [];
  try {
    for (const block of blocksOf(text)) {
      try {
        const stale = await staleness(block, lab, demos);
        if (stale)
          findings.push({
            where: `${where}:${block.line}`,
            what: stale,
            remedy: 'run `pnpm fix`, then read the page again',
          });
      } catch (error) {
        findings.push(unfillable(where, error));
      }
    }
  } catch (error) {
    findings.push(unfillable(where, error));
  }
  return findings;
}

/** Why the block is out of date; undefined when it is not, or when its demo cannot be run here. */
async function staleness(block: Block, lab: Lab, demos: Demos): Promise<string | undefined> {
  if (block.kind === 'code') {
    return (await codeContent(block, lab.dir)) === block.content
      ? undefined
      : `quotes ${block.file} as it no longer is`;
  }
  if (block.kind === 'labs') return 'the index of labs belongs in the root README';
  const runs = await demos.of(lab);
  // The gate on demos says so already.
  if (runs.some(({ outcome }) => outcome !== 'told')) return undefined;
  return sameRun(block.content, runContent(block, runs))
    ? undefined
    : 'shows a run that differs in more than its figures';
}

function unfillable(where: string, error: unknown): Finding {
  if (!(error instanceof BlockError)) throw error;
  return { where: `${where}:${error.line}`, what: error.message, remedy: 'mend the marker' };
}

async function pagesUnder(root: string, dir: string): Promise<string[]> {
  return (await filesUnder(dir)).filter((file) => file.endsWith('.md')).map((file) => relative(root, join(dir, file)));
}

async function checkLinks(root: string, page: string): Promise<Finding[]> {
  const text = await readFile(join(root, page), 'utf8');
  const findings: Finding[] = [];
  for (const href of linksOf(text)) {
    const problem = await dead(root, page, text, href);
    if (problem)
      findings.push({ where: page, what: `links to ${href}: ${problem}`, remedy: 'mend the link or remove it' });
  }
  return findings;
}

async function dead(root: string, page: string, text: string, href: string): Promise<string | undefined> {
  if (/^[a-z][a-z0-9+.-]*:/i.test(href) || href.startsWith('//')) return undefined;
  const [path = '', anchor] = href.split('#');
  const target = path === '' ? join(root, page) : resolve(root, dirname(page), decodeURIComponent(path));
  if (relative(root, target).startsWith('..')) return 'it leads out of the repository';
  if (path.startsWith('/')) return 'it begins with "/": write it relative to this page';
  if (!existsSync(target)) return 'there is no such file';
  if (anchor === undefined || !target.endsWith('.md')) return undefined;
  const there = path === '' ? text : await readFile(target, 'utf8');
  return anchorsOf(there).has(decodeURIComponent(anchor)) ? undefined : 'there is no such heading';
}

function anchorsOf(markdown: string): ReadonlySet<string> {
  const slugger = new GithubSlugger();
  const anchors = new Set([...markdown.matchAll(/<a (?:id|name)="([^"]+)"/g)].map(([, id = '']) => id));
  for (const { text } of headingsOf(markdown)) anchors.add(slugger.slug(text.replaceAll(/[`*]|\]\([^)]*\)|\[/g, '')));
  return anchors;
}
