import { readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { filesUnder, lineAt } from './files.ts';
import type { Finding, Gate, GateContext } from './gate.ts';
import { type Helper, helpersOf } from './source.ts';

/**
 * Labs copy small helpers from each other, because src/ imports no other lab. Identical copies are fine, and so are two
 * functions that share only a name. Between the two lies the copy that was mended in one lab alone: at least `alike` of
 * its tokens are the same.
 */
const alike = 0.6;

export const drift: Gate = {
  name: 'drift',
  why: 'a helper that was mended in one lab is mended in every lab that has it',
  scope: 'repo',
  async run(context) {
    const byName = Map.groupBy(await allHelpers(context), ({ name }) => name);
    return [...byName.values()].flatMap(judge);
  },
};

interface Located extends Helper {
  readonly lab: string;
  readonly where: string;
}

async function allHelpers({ root, labs }: GateContext): Promise<readonly Located[]> {
  const found = labs.map(async (lab) => {
    const files = (await filesUnder(join(lab.dir, 'src'))).filter((file) => file.endsWith('.ts'));
    const helpers = files.map(async (file) => {
      const path = join(lab.dir, 'src', file);
      const text = await readFile(path, 'utf8');
      return helpersOf(file, text).map((helper) => ({
        ...helper,
        lab: lab.name,
        where: `${relative(root, path)}:${lineAt(text, helper.offset)}`,
      }));
    });
    return (await Promise.all(helpers)).flat();
  });
  return (await Promise.all(found)).flat();
}

function judge(copies: readonly Located[]): Finding[] {
  const findings: Finding[] = [];
  for (const [i, copy] of copies.entries()) {
    const other = copies.slice(0, i).find((each) => each.lab !== copy.lab && each.code !== copy.code);
    const twin = copies.slice(0, i).some((each) => each.code === copy.code);
    if (other === undefined || twin) continue;
    const share = similarity(copy.code, other.code);
    if (share < alike) continue;
    findings.push({
      where: copy.where,
      what: `${copy.name} is ${Math.round(share * 100)} % the same as in ${other.where}: the copies have drifted apart`,
      remedy: 'make the copies equal, or give what differs a name of its own',
    });
  }
  return findings;
}

/** Share of tokens that two pieces of code have in common, 0 to 1 (Dice's coefficient). */
function similarity(a: string, b: string): number {
  const [left, right] = [tokens(a), tokens(b)];
  const counts = new Map<string, number>();
  for (const token of left) counts.set(token, (counts.get(token) ?? 0) + 1);
  let common = 0;
  for (const token of right) {
    const count = counts.get(token) ?? 0;
    if (count === 0) continue;
    common += 1;
    counts.set(token, count - 1);
  }
  return (2 * common) / (left.length + right.length);
}

function tokens(code: string): readonly string[] {
  return code.match(/\w+|[^\w\s]/g) ?? [];
}
