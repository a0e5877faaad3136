// Flaw: takes for a path of ours what begins with one slash; a browser reads `/\evil.example` as another host.
// Seen in: https://github.com/formbricks/formbricks/pull/8462
// Caught by: after a login the browser goes to a path of ours, never to another host
export * from '../src/index.ts';

export function localPath(path: string): string {
  return path.startsWith('/') && !path.startsWith('//') ? path : '/';
}
