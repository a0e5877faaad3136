import { corpus, type Planted } from './corpus.ts';

/** The same rules as people look for them in an editor: a line at a time. */
const PATTERNS: readonly [rule: string, line: RegExp][] = [
  ['DL3006', /^FROM\s+[^:@\s]+(?:\s|$)/i],
  ['DL3007', /:latest/],
  ['DL3002', /^USER\s+root/i],
  ['DL3025', /^(?:CMD|ENTRYPOINT)\s+[^[]/i],
  ['CL1001', /^(?:CMD|ENTRYPOINT).*(?:npm|\bsh\b)/],
  ['CL1003', /(?:TOKEN|SECRET|PASSWORD|KEY)/],
  ['CL1004', /\brm\s.*\.(?:npmrc|env)/],
  ['CL1005', /^COPY\s+\.\s/],
  ['CL1006', /curl.*\|\s*(?:ba)?sh/],
  ['CL1007', /npm (?:install|i)\b/],
  ['CL1008', /^COPY\s+\.\s/],
  ['DL3008', /apt-get install/],
  ['DL3009', /apt-get update/],
  ['DL3020', /^ADD\s/],
  ['DL3042', /pip install/],
  ['DL4006', /^RUN.*\|/],
];

export const grep = (text: string): string[] =>
  text
    .split('\n')
    .flatMap((line, index) => PATTERNS.filter(([, it]) => it.test(line)).map(([id]) => `${id}:${index + 1}`));

/** Precision: how much of what it says is true. Recall: how much of what is true it says. */
export function score(find: (file: Planted) => readonly string[], files = corpus) {
  let [found, missed, alarms] = [0, 0, 0];
  for (const file of files) {
    const said = new Set(find(file));
    const planted = new Set(file.defects);
    found += planted.intersection(said).size;
    missed += planted.difference(said).size;
    alarms += said.difference(planted).size;
  }
  return { found, missed, alarms, precision: found / (found + alarms), recall: found / (found + missed) };
}
