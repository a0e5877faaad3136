import { posix } from 'node:path';
import { Arg, Env, type Instruction } from 'dockerfile-ast';
import { dockerignore, patternsOf, within } from '../dockerignore.ts';
import { commandsOf } from '../shell.ts';
import { copied, historyOf, isFromStage, wordsOf } from '../stages.ts';
import { type DockerRule, each, triggered } from './rule.ts';

/** `NPM_TOKEN` is one; `TOKEN_TTL` and `DB_PASSWORD_FILE` are not. */
const NAME =
  /(?:^|_)(?:TOKEN|SECRET|(?:PG)?PASSWORD|PASSWD|PASS|PASSPHRASE|API_?KEY|PRIVATE_KEY|ACCESS_KEY|SECRET_KEY|CREDENTIALS?)$/i;
/** As their issuers print them, so that scanners find them; and a password in a URL. */
const VALUE =
  /\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|xox[abp]-[\w-]{20,}|sk_live_\w{20,}|AIza[\w-]{35}|npm_[A-Za-z0-9]{20,}|glpat-[\w-]{20,})|-----BEGIN [A-Z ]*PRIVATE KEY|:\/\/[^\s/:@$]+:[^\s/@$]+@/;

/** `ALLOW_EMPTY_PASSWORD=yes`, and nothing at all. */
const NO_SECRET = /^(?:|yes|no|true|false|[01])$/i;

const settings = (at: Instruction) => {
  if (at instanceof Env) return at.getProperties().map((it) => ({ name: it.getName(), value: it.getValue() }));
  const argument = at instanceof Arg ? at.getProperty() : null;
  return argument === null ? [] : [{ name: argument.getName(), value: argument.getValue() }];
};

export const noSecretInHistory: DockerRule = {
  id: 'CL1003',
  title: 'A secret in the image’s history',
  severity: 'high',
  confidence: 'medium',
  why: 'ENV and ARG are part of the image: `docker history` prints them to whoever can pull it',
  fix: 'RUN --mount=type=secret,id=… while it is built; the environment or a file when it runs',
  *check(file) {
    for (const at of file.ast.getInstructions().map(triggered)) {
      // An ARG without one waits for `--build-arg`.
      const named = settings(at).find(
        ({ name, value }) => NAME.test(name) && (at instanceof Arg || !NO_SECRET.test(value ?? '')),
      );
      if (named) yield { at, message: `${at.getKeyword()} ${named.name} stays in the image` };
      else if (VALUE.test(at.getArgumentsContent() ?? '')) yield { at, message: 'this looks like a key or a password' };
    }
  },
};

const isSecretFile = (path: string) => {
  const name = posix.basename(path);
  return /^\.env(?:\.(?!example$|sample$|template$).+)?$|^\.npmrc$|^id_(?:rsa|ed25519|ecdsa)$|\.(?:pem|key|p12)$/.test(
    name,
  );
};

export const goneFromTheStart: DockerRule = {
  id: 'CL1004',
  title: 'Deleted in a later layer',
  severity: 'high',
  confidence: 'high',
  why: 'the layer below still has it: whoever pulls the image can read it, and it still takes its place',
  fix: 'do not copy it: .dockerignore, a secret mount, or another stage whose layers are not shipped',
  *check({ last }) {
    let folder = '/';
    const files = new Set<string>();
    const folders = new Set<string>();
    for (const at of historyOf(last)) {
      const keyword = at.getKeyword();
      if (keyword === 'WORKDIR') folder = posix.resolve(folder, wordsOf(at)[0] ?? '');
      if (keyword === 'COPY' || keyword === 'ADD') {
        const { sources, to } = copied(at);
        for (const source of sources) {
          // Whether a folder of that name is there nobody knows: it may be either.
          files.add(posix.resolve(folder, to)).add(posix.resolve(folder, to, posix.basename(source)));
          if (/^\.?\/?\*?$/.test(source)) folders.add(posix.resolve(folder, to));
        }
      }
      if (keyword !== 'RUN') continue;
      const removed = commandsOf(at)
        .filter(({ words }) => words[0] === 'rm')
        .flatMap(({ words }) => words.slice(1))
        .filter((word) => !word.startsWith('-'))
        .map((word) => posix.resolve(folder, word.replace(/^(?:~|\$HOME)(?=\/)/, '/root')));
      const kept = removed.filter(
        (path) =>
          [...files].some((file) => `${file}/`.startsWith(posix.join(path, '/'))) ||
          (isSecretFile(path) && [...folders].some((from) => path.startsWith(posix.join(from, '/')))),
      );
      if (kept.length > 0) yield { at, message: `${kept.join(', ')} is still in an earlier layer` };
    }
  },
};

const MOST_NAMED = 3;

/** What a source of a COPY takes along: it is a pattern as those of a .dockerignore are. */
function selects(source: string): (path: string) => boolean {
  try {
    const [pattern] = patternsOf(source);
    return (path) => pattern === undefined || within(path).some((each) => pattern.regex.test(each));
  } catch {
    return () => false;
  }
}

export const closedContext: DockerRule = {
  id: 'CL1008',
  title: 'What should stay at home is copied',
  severity: 'high',
  confidence: 'high',
  why: 'keys, the whole history of the repository or another system’s modules end up in the image',
  fix: 'a .dockerignore that lets in what is needed: `*`, then `!src`',
  *check(file) {
    if (file.context === undefined) return;
    const { files, ignore } = file.context;
    const enters = dockerignore(ignore ?? '');
    const unwanted = files.filter(
      (path) => (isSecretFile(path) || /(?:^|\/)(?:\.git|node_modules)\//.test(path)) && enters(path),
    );
    for (const { at } of each(file, 'COPY', 'ADD')) {
      if (isFromStage(at)) continue;
      const sources = copied(at).sources.map(selects);
      const left = /\s--exclude=(\S+)/.exec(at.toString())?.[1];
      const taken = unwanted.filter(
        (path) => sources.some((takes) => takes(path)) && !(left !== undefined && selects(left)(path)),
      );
      if (taken.length === 0) continue;
      const more = taken.length > MOST_NAMED ? ` and ${taken.length - MOST_NAMED} more` : '';
      const why = ignore === undefined ? ': there is no .dockerignore' : '';
      yield { at, message: `${taken.slice(0, MOST_NAMED).join(', ')}${more} would be copied${why}` };
    }
  },
};
