import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import type { AptRecipe } from './apt.ts';
import type { Container } from './compose.ts';
import type { Program } from './process.ts';

/** What the common machinery must know of a kind of server. Each has one file that exports one of these. */
export interface Service {
  readonly name: string;
  /** The environment variable that names servers of the user's own: `REDIS_URL`. */
  readonly variable: string;
  /** Whether several URLs may stand in the variable, separated by commas: independent nodes. */
  readonly several: boolean;
  readonly schemes: readonly string[];
  readonly defaultPort: number;
  /** The compose file's containers of this kind. */
  readonly containers: readonly Container[];
  /** Its URL at a port of the compose file's, with user and password. */
  containerUrl(port: number): string;
  /** Whether the server at a container's URL is the compose file's, not a stranger on that port. Takes at most 1 s. */
  isOurContainer(url: string): Promise<boolean>;
  /** The program on this machine, if it is there already. Starts and downloads nothing. */
  find(): Promise<Program | undefined>;
  /** How apt's client can fetch it into the private cache, where that is wanted. */
  readonly apt?: AptRecipe;
  readonly version: (program: Program) => Promise<string>;
  /** A command per package manager that gets the server. */
  readonly install: Readonly<Partial<Record<PackageManager, string>>>;
}

export type PackageManager = 'apt' | 'dnf' | 'apk' | 'pacman' | 'brew' | 'npm';

/** The first of `names` that is an executable on PATH. */
export async function onPath(...names: readonly string[]): Promise<string | undefined> {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  for (const name of names) {
    for (const folder of folders) {
      const path = join(folder, name);
      const executable = await access(path, constants.X_OK).then(
        () => true,
        () => false,
      );
      if (executable) return path;
    }
  }
  return undefined;
}
