import type { Random } from '@shared/testkit';

/** A change that knows which lines it adds, and the diff that git would write of it. */
export interface Edit {
  readonly diff: string;
  readonly added: ReadonlyMap<number, string>;
}

/** Texts that look like something else in a diff. */
const TRAPS = [
  '',
  '-- note',
  '++ b/src/trap.ts',
  '@@ -1 +1 @@',
  'diff --git a/x b/x',
  '\\ no',
  ' ',
  'a\rb',
  'a\u2028b',
  'a\fb',
  '\t',
];

/** A random change to a random file, with `context` lines around each hunk. */
export function edit(path: string, random: Random, context: number): Edit {
  const text = () => (random.next() < 0.3 ? random.pick(TRAPS) : `line ${random.int(0, 99)}`);
  const ops = Array.from({ length: random.int(1, 40) }, () => {
    const roll = random.next();
    return { op: roll < 0.15 ? '+' : roll < 0.3 ? '-' : ' ', text: text() };
  });
  const added = new Map<number, string>();
  const hunks: string[] = [];
  let [old, now] = [1, 1];
  let hunk: { head: [number, number]; lines: string[]; count: [number, number] } | undefined;
  const close = () => {
    if (!hunk) return;
    // Git names the line above where a side is empty.
    const range = (first: number, count: number) =>
      count === 1 ? `${first}` : `${count === 0 ? first - 1 : first},${count}`;
    hunks.push(`@@ -${range(hunk.head[0], hunk.count[0])} +${range(hunk.head[1], hunk.count[1])} @@`, ...hunk.lines);
    hunk = undefined;
  };
  for (const [at, { op, text }] of ops.entries()) {
    const near = ops.slice(Math.max(0, at - context), at + context + 1).some((other) => other.op !== ' ');
    if (!near) close();
    else {
      hunk ??= { head: [old, now], lines: [], count: [0, 0] };
      hunk.lines.push(op + text);
      if (op !== '+') hunk.count[0]++;
      if (op !== '-') hunk.count[1]++;
    }
    if (op === '+') added.set(now, text);
    if (op !== '+') old++;
    if (op !== '-') now++;
  }
  close();
  const head = [`diff --git a/${path} b/${path}`, 'index 1111111..2222222 100644', `--- a/${path}`, `+++ b/${path}`];
  return { diff: hunks.length === 0 ? '' : `${[...head, ...hunks].join('\n')}\n`, added };
}
