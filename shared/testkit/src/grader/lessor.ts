import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** What @shared/services lends its servers by. */
interface Lessor extends AsyncDisposable {
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Lends the servers that a lab's suite asks for; undefined for a package without servers, or one that is no lab: that
 * tests the start itself, perhaps. This package cannot depend on @shared/services, whose own tests run by it.
 */
export async function lessorOf(root: string, ahead: boolean): Promise<Lessor | undefined> {
  const manifest = join(root, 'package.json');
  const { imports }: { imports?: Record<string, string> } = JSON.parse(readFileSync(manifest, 'utf8'));
  if (imports?.['#lab'] === undefined) return undefined;
  let path: string;
  try {
    path = createRequire(manifest).resolve('@shared/services/lessor');
  } catch {
    return undefined;
  }
  const module: { openLessor(options: { ahead: boolean }): Promise<Lessor> } = await import(pathToFileURL(path).href);
  return module.openLessor({ ahead });
}
