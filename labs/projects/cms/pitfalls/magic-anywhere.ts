// Flaw: looks for the mark of a picture somewhere in the first bytes, and not at their beginning: a page with the mark in a comment is one.
// Seen in: uploads that are checked by "contains GIF89a"; polyglots in bug bounties
// Caught by: a picture is what its bytes say, and nothing else is taken
export * from '../src/index.ts';

import { type Kind, MediaStore as Sound } from '../src/index.ts';

export class MediaStore extends Sound {
  protected override sniff(bytes: Uint8Array): Kind | undefined {
    const head = Buffer.from(bytes.subarray(0, 512)).toString('latin1');
    if (head.includes('\x89PNG')) return 'png';
    if (head.includes('\xff\xd8\xff')) return 'jpg';
    if (head.includes('GIF8')) return 'gif';
    return head.includes('WEBP') ? 'webp' : undefined;
  }
}
