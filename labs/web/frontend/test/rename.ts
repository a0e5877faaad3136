import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CONTRACT, typesOf } from './generate.ts';

const lab = join(import.meta.dirname, '..');

/** What the compiler says about a project: `src/shop.ts:12`, and why. */
export interface Complaint {
  readonly where: string;
  readonly text: string;
}

/**
 * The shop's own source, as it compiles when the contract calls a field otherwise.
 *
 * @param more files that are compiled with it, by name
 */
export async function compiledAfter(
  rename: { readonly from: string; readonly to: string } | undefined,
  more: Readonly<Record<string, string>> = {},
): Promise<Complaint[]> {
  const dir = await mkdtemp(join(tmpdir(), 'frontend-'));
  try {
    await cp(join(lab, 'src'), join(dir, 'src'), { recursive: true });
    await symlink(join(lab, 'node_modules'), join(dir, 'node_modules'));
    let contract = await readFile(CONTRACT, 'utf8');
    if (rename) contract = contract.replaceAll(`"${rename.from}"`, `"${rename.to}"`);
    await writeFile(join(dir, 'src/contract.gen.ts'), await typesOf(contract));
    for (const [name, text] of Object.entries(more)) await writeFile(join(dir, name), text);
    const compilerOptions = {
      target: 'esnext',
      module: 'nodenext',
      jsx: 'react-jsx',
      strict: true,
      types: [],
      skipLibCheck: true,
      allowImportingTsExtensions: true,
      noEmit: true,
    };
    await writeFile(join(dir, 'package.json'), '{ "type": "module" }');
    await writeFile(join(dir, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['src', '*.ts'] }));
    // The project's own: the lab's is an older one, for what needs its API, and takes ten times as long.
    const tsc = join(lab, '../../../node_modules/typescript/bin/tsc');
    const output = await new Promise<string>((resolve) => {
      execFile(process.execPath, [tsc, '--pretty', 'false', '-p', dir], { cwd: dir }, (_, stdout) => resolve(stdout));
    });
    return Array.from(output.matchAll(/^(\S+)\((\d+),\d+\): error (.*)$/gm), ([, file, line, text = '']) => ({
      where: `${file}:${line}`,
      text,
    }));
  } finally {
    await rm(dir, { recursive: true });
  }
}
