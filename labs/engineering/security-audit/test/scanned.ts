import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { type RuleId, type ScanOptions, type ScanReport, scan } from '#lab';

export type Files = Readonly<Record<string, string | Uint8Array>>;

/** A folder with these files, for as long as the test runs. */
export async function folderOf(files: Files): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'audit-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), text);
  }
  return root;
}

/** A text is the file `app.ts`. */
export async function scanned(given: string | Files, options: ScanOptions = {}): Promise<ScanReport> {
  const root = await folderOf(typeof given === 'string' ? { 'app.ts': given } : given);
  return scan([root], { root, ...options });
}

/** What this one rule finds, as `app.ts:3`; what could not be read, with its rule. */
export async function found(rule: RuleId, given: string | Files): Promise<string[]> {
  const { findings } = await scanned(given, { rules: [rule] });
  return findings.map(({ rule: its, file, span }) => `${its === rule ? '' : `${its} `}${file}:${span.start.line}`);
}
