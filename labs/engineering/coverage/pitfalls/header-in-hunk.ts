// Flaw: each line is taken for what its first letters say, so a deleted SQL comment, `--- note`, is a file's header.
// Seen in: https://github.com/mennanov/blockwatch/issues/94
// Caught by: a hunk is as long as its header says, whatever its lines look like
import type { Changes } from '../src/index.ts';

export * from '../src/index.ts';

export function parseDiff(text: string): Changes {
  const changes = new Map<string, Map<number, string>>();
  let [path, number] = ['', 0];
  for (const line of text.split('\n')) {
    const start = /^@@ -\S+ \+(\d+)/.exec(line);
    if (start) number = Number(start[1]);
    else if (line.startsWith('+++ ')) {
      path = line.slice('+++ b/'.length);
      changes.set(path, new Map());
    } else if (line.startsWith('+')) changes.get(path)?.set(number++, line.slice(1));
    else if (line.startsWith(' ')) number++;
  }
  return changes;
}
