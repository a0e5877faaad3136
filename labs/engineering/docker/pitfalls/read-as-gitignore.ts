// Flaw: a pattern without a slash is looked for in every folder, as Git does, so what the build takes along is not what this says.
// Seen in: https://github.com/galaxyproject/galaxy/pull/21721 (22 GB of node_modules in the context)
// Caught by: a pattern means one place, seen from the context’s root; ** is any folders, and a folder takes its content along
import { dockerignore as reference } from '../src/index.ts';

export * from '../src/index.ts';

export const dockerignore: typeof reference = (text) =>
  reference(text.replaceAll(/^(!?)([^\s!#/][^/\n]*)\/?$/gm, '$1**/$2'));
