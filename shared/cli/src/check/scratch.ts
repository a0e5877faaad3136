import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder for one piece of work, gone at its end. */
export class Scratch implements AsyncDisposable {
  readonly dir: string;

  /** Inside `parent`'s node_modules, where its packages resolve, git and the other tools do not look. */
  static async in(parent: string): Promise<Scratch> {
    const base = join(parent, 'node_modules/.check');
    await mkdir(base, { recursive: true });
    return new Scratch(await mkdtemp(join(base, 'run-')));
  }

  /** Far away from the repository, where nothing resolves. */
  static async outside(): Promise<Scratch> {
    return new Scratch(await mkdtemp(join(tmpdir(), 'labs-check-')));
  }

  constructor(dir: string) {
    this.dir = dir;
  }

  path(file: string): string {
    return join(this.dir, file);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.dir, { recursive: true, force: true });
  }
}
