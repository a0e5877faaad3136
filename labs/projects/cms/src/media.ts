import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidInputError, NotFoundError } from './errors.ts';

export type Kind = 'png' | 'jpg' | 'gif' | 'webp';

/** What a browser is told of each. */
export const TYPES: Readonly<Record<Kind, string>> = {
  png: 'image/png',
  jpg: 'image/jpeg',
  gif: 'image/gif',
  webp: 'image/webp',
};

/** Bytes of a picture, at most. */
export const MOST_BYTES = 1_048_576;

const ID = /^[0-9a-f]{64}\.(png|jpg|gif|webp)$/;

/** Pictures in a folder, each under the hash of its bytes: the same one twice is one file, and an address never changes. */
export class MediaStore {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** @returns its id @throws InvalidInputError on what is no picture, or too large */
  async put(bytes: Uint8Array): Promise<string> {
    if (bytes.length > MOST_BYTES)
      throw new InvalidInputError('picture', `${bytes.length} bytes`, `${MOST_BYTES} at most`);
    const kind = this.sniff(bytes);
    if (kind === undefined)
      throw new InvalidInputError('picture', 'something else', 'the bytes of a PNG, JPEG, GIF or WebP');
    const id = `${createHash('sha256').update(bytes).digest('hex')}.${kind}`;
    await mkdir(this.#folder, { recursive: true });
    // Aside, and then moved: nobody reads a half of it, and a crash leaves none.
    const aside = join(this.#folder, `.${randomUUID()}`);
    try {
      await writeFile(aside, bytes);
      await rename(aside, join(this.#folder, id));
    } catch (error) {
      await rm(aside, { force: true });
      throw error;
    }
    return id;
  }

  /** @throws NotFoundError */
  async get(id: string): Promise<{ readonly bytes: Uint8Array; readonly type: string }> {
    const kind = ID.exec(id)?.[1];
    if (!isKind(kind)) throw new NotFoundError('picture', id);
    const bytes = await readFile(join(this.#folder, id)).catch((error: NodeJS.ErrnoException) => {
      throw error.code === 'ENOENT' ? new NotFoundError('picture', id) : error;
    });
    return { bytes, type: TYPES[kind] };
  }

  /** What the bytes say that they are, whatever name or type they came with. */
  protected sniff(bytes: Uint8Array): Kind | undefined {
    const head = Buffer.from(bytes.subarray(0, 12)).toString('latin1');
    if (head.startsWith('\x89PNG\r\n\x1a\n')) return 'png';
    if (head.startsWith('\xff\xd8\xff')) return 'jpg';
    if (/^GIF8[79]a/.test(head)) return 'gif';
    if (/^RIFF.{4}WEBP$/s.test(head)) return 'webp';
    return undefined;
  }
}

const isKind = (value = ''): value is Kind => Object.hasOwn(TYPES, value);
