// Copies the contract of the order desk (labs/web/rest-openapi), and makes types of it: `pnpm run generate`.
import { readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import openapiTS, { astToString } from 'openapi-typescript';

const lab = join(import.meta.dirname, '..');
/** The desk's own. */
export const DESK_CONTRACT = join(createRequire(import.meta.url).resolve('@labs/rest-openapi'), '../../openapi.json');
export const CONTRACT = join(lab, 'src/openapi.json');
export const TYPES = join(lab, 'src/contract.gen.ts');

/** The types of a contract. */
export async function typesOf(contract: string): Promise<string> {
  const head = '// Made of openapi.json by `pnpm run generate`: change the contract, not this.\n';
  return head + astToString(await openapiTS(contract));
}

if (import.meta.main) {
  const contract = await readFile(DESK_CONTRACT, 'utf8');
  await writeFile(CONTRACT, contract);
  await writeFile(TYPES, await typesOf(contract));
}
