import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { random } from '@shared/testkit';
import { describe, expect, test } from 'vitest';
import {
  type Context,
  fingerprints,
  inOrder,
  type LintOptions,
  lintDockerfile,
  rules,
  toSarif,
  UnreadableDockerfileError,
} from '#lab';
import { corpus } from './corpus.ts';

const SEED = Number(process.env['LAB_SEED'] ?? 20_261);

const marks = (text: string, options: LintOptions = {}) =>
  lintDockerfile(text, options).findings.map(({ rule, span }) => `${rule}:${span.start.line}`);
/** One rule (or two) alone, so that a law needs nothing of the others. */
const only = (ids: readonly string[], text: string, context?: Context) =>
  marks(text, { rules: rules.filter(({ id }) => ids.includes(id)), ...(context && { context }) });

/** What one rule says of one text, which a failure shows. */
const says = (id: string, what: string, text: string, ...lines: readonly number[]) =>
  expect(only([id], text), `${what}:\n\n${text}`).toEqual(lines.map((line) => `${id}:${line}`));

describe('a linter of Dockerfiles', () => {
  test('the program itself is process 1: no shell form, no npm, no shell that does not exec', () => {
    const started = (instruction: string) => only(['DL3025', 'CL1001'], `FROM node:24\nRUN npm ci\n${instruction}\n`);
    for (const good of [
      'CMD ["node", "server.js"]',
      'ENTRYPOINT ["tini", "--"]\nCMD ["node", "server.js"]',
      'ENTRYPOINT ["/bin/sh", "-c", "migrate && exec node server.js"]',
      'CMD [ \\\n  "node", \\\n  "server.js" ]',
      'HEALTHCHECK CMD curl -f http://localhost || exit 1',
      'CMD []',
      `CMD ["sh", "-c", "envsubst <a >b && exec nginx -g 'daemon off;'"]`,
      'CMD ["sh", "-c", "if a; then A=1 exec b; else exec c; fi"]',
    ]) {
      expect(started(good), good).toEqual([]);
    }
    for (const shell of [
      'CMD node server.js',
      "CMD ['node', 'server.js']",
      'ENTRYPOINT exec node server.js',
      'CMD ["node"',
    ]) {
      expect(started(shell), shell).toEqual(['DL3025:3']);
    }
    for (const between of [
      'CMD ["npm", "start"]',
      'CMD ["/usr/bin/yarn", "run", "start"]',
      'CMD ["sh", "-c", "node server.js"]',
      'ENTRYPOINT ["/bin/bash", "-ec"]\nCMD ["migrate && node server.js"]',
      'ENTRYPOINT ["/sbin/tini", "-g", "--"]\nCMD ["npm", "start"]',
      'CMD ["sh", "-c", "exec node server.js | tee log"]',
    ]) {
      expect(started(between), between).toEqual(['CL1001:3']);
    }
    says('CL1001', 'replaced', 'FROM a AS b\nCMD ["npm", "start"]\nFROM b\nCMD ["node", "x"]\n');
    const emptied = 'FROM a AS b\nCMD ["-c", "npm start"]\nFROM b\nENTRYPOINT ["sh"]\n';
    says('CL1001', 'an ENTRYPOINT empties the CMD that its stage would inherit', emptied);
  });

  test('who runs the program is the last USER of the stage that is shipped, and of those it builds on', () => {
    const root = (what: string, text: string, ...lines: readonly number[]) => says('DL3002', what, text, ...lines);
    root('root on the way', 'FROM a:1\nUSER root\nRUN x\nUSER app\n');
    root('root in the end', 'FROM a:1\nUSER app\nRUN x\nUSER root\n', 4);
    root('another stage', 'FROM a:1 AS build\nUSER root\nFROM a:1\nUSER app\n');
    root('the stage below', 'FROM a:1 AS base\nUSER root\nFROM base\nCMD ["x"]\n', 2);
    root('two below', 'FROM a:1 AS Base\nUSER app\nFROM BASE AS top\nRUN x\nFROM top\n');
    for (const user of ['0', '0:0', 'root:staff', '00']) root(user, `FROM a:1\nUSER ${user}\n`, 2);
    for (const user of ['1000', 'app:root', '10', '$APP']) root(user, `FROM a:1\nUSER ${user}\n`);
    root('a variable', 'FROM a:1\nARG WHO=root\nUSER $WHO\n', 3);
  });

  test('a secret in ENV, ARG or the text is found, by its name or by its look, and what only sounds like one is not', () => {
    const found = (line: string) => only(['CL1003'], `FROM a:1\n${line}\n`);
    for (const bad of [
      'ARG NPM_TOKEN',
      'ENV DB_PASSWORD=hunter2',
      'ENV A=1 \\\n  API_KEY=x',
      'ENV AWS_SECRET_ACCESS_KEY abc',
      'ENV URL=postgres://shop:hunter2@db/shop',
      'RUN echo //registry/:_authToken=npm_0123456789abcdefghijABCDEFGHIJ012345 > .npmrc',
      'LABEL key="AKIAIOSFODNN7EXAMPLE"',
    ]) {
      expect(found(bad), bad).toEqual(['CL1003:2']);
    }
    for (const fine of [
      'ENV TOKEN_TTL=60',
      'ENV DB_PASSWORD_FILE=/run/secrets/db',
      'ENV SECRETARY=Ann',
      'ENV SESSION_SECRET=',
      'ARG KEYBOARD=us',
      'ENV URL=http://shop:80/a@b',
      'ENV URL=postgres://$USER:$PASSWORD@db/shop',
      'RUN --mount=type=secret,id=npm_token npm ci',
      'RUN TOKEN=$(cat /run/secrets/token) npm ci',
    ]) {
      expect(found(fine), fine).toEqual([]);
    }
  });

  test('what is copied and then deleted is still in the layer before, unless that stage is not shipped', () => {
    const found = (what: string, text: string, ...lines: readonly number[]) => says('CL1004', what, text, ...lines);
    found('COPY .npmrc ./, then rm', 'FROM a:1\nWORKDIR /app\nCOPY .npmrc ./\nRUN npm ci && rm -f .npmrc\n', 4);
    found('absolute', 'FROM a:1\nCOPY .npmrc /root/\nRUN npm ci\nRUN ["rm", "/root/.npmrc"]\n', 4);
    found('renamed', 'FROM a:1\nCOPY key.pem /tmp/key\nWORKDIR /tmp\nRUN rm ./key\n', 4);
    found('with all the rest', 'FROM a:1\nWORKDIR /app\nCOPY . .\nRUN npm run build && rm .env\n', 4);
    found('by a stage on top', 'FROM a:1 AS b\nCOPY id_rsa /\nFROM b\nRUN rm /id_rsa\n', 4);
    found('not shipped', 'FROM a:1 AS b\nCOPY .npmrc /\nRUN npm ci && rm /.npmrc\nFROM a:1\nCOPY --from=b /x /x\n');
    found(
      'what a step has made itself',
      'FROM a:1\nWORKDIR /app\nCOPY . .\nRUN curl -o t.tgz u && rm t.tgz && rm -rf /tmp/x\n',
    );
    found('folders in folders', 'FROM a:1\nWORKDIR /a\nWORKDIR b\nCOPY k k2 .\nRUN x && rm /a/b/k2\n', 5);
    found('with its folder', 'FROM a:1\nCOPY id_rsa /root/.ssh/\nRUN rm -rf ~/.ssh\n', 3);
    found('nothing secret', 'FROM a:1\nCOPY . /app\nRUN rm /app/src/a.ts /appendix/.env\n');
    found('before it is there', 'FROM a:1\nRUN rm .npmrc\nCOPY .npmrc /\n');
  });

  test('dependencies are installed before the source is copied', () => {
    const found = (what: string, text: string, ...lines: readonly number[]) => says('CL1005', what, text, ...lines);
    found('COPY . ., then npm ci', 'FROM a:1\nCOPY . .\nRUN npm ci\n', 2);
    found('both', 'FROM a:1\nCOPY package.json ./\nCOPY . .\nRUN apt-get update && npm ci\n', 3);
    found('a heredoc', 'FROM a:1\nCOPY ./ /app/\nRUN <<EOF\ncd /app\nyarn\nEOF\n', 2);
    found('pip', 'FROM a:1\nADD . /\nRUN pip install -r requirements.txt\n', 2);
    for (const [what, text] of [
      ['in order', 'COPY package*.json ./\nRUN npm ci\nCOPY . .\nRUN npm run build'],
      ['tools', 'COPY . .\nRUN npm install -g serve && apt-get install -y curl && pip install rich'],
      ['one package', 'COPY . .\nRUN npm install lodash'],
      ['a word', 'COPY . .\nRUN echo "npm ci"'],
      ['no install', 'COPY . .'],
      ['another stage', 'COPY . .\nFROM a:1\nCOPY package.json .\nRUN npm ci'],
    ] as const) {
      found(what, `FROM a:1\n${text}\n`);
    }
  });

  test('of the planted defects it finds every one, and nothing else', () => {
    const wrong = corpus.flatMap(({ name, text, context, defects }) => {
      const found = [...new Set(marks(text, { ...(context && { context }) }))].sort();
      const planted = [...defects].sort();
      return JSON.stringify(found) === JSON.stringify(planted) ? [] : [{ name, found, planted }];
    });
    expect(wrong).toEqual([]);
    const tried = new Set(corpus.flatMap(({ defects }) => defects.map((defect) => defect.split(':')[0])));
    expect(
      rules.map(({ id }) => id).filter((id) => !tried.has(id)),
      'rules without a planted defect',
    ).toEqual([]);
  });

  test('an instruction is excused by the comment above it, for a reason', () => {
    const text = (comment: string) => `FROM debian:12\n${comment}\nRUN x | y\nRUN x | z\n`;
    const judged = (comment: string) => only(['DL4006'], text(comment));
    expect(judged('# hadolint ignore=DL4006 # x never fails')).toEqual(['DL4006:4']);
    expect(judged('#   hadolint   ignore=DL3008,DL4006#x never fails\n# more')).toEqual(['DL4006:5']);
    expect(judged('# hadolint ignore=DL4006'), 'no reason').toEqual(['suppression-bare:2', 'DL4006:3', 'DL4006:4']);
    expect(judged('# hadolint ignore=DL4006 #  '), 'a blank reason').toEqual([
      'suppression-bare:2',
      'DL4006:3',
      'DL4006:4',
    ]);
    expect(judged('# hadolint ignore # all'), 'no rule').toEqual(['suppression-bare:2', 'DL4006:3', 'DL4006:4']);
    expect(judged('# hadolint ignore=DL4007 # misspelt')).toEqual(['suppression-unused:2', 'DL4006:3', 'DL4006:4']);
    expect(judged('# we let hadolint ignore=DL4006 # no'), 'prose').toEqual(['DL4006:3', 'DL4006:4']);
    expect(only(['DL3006'], '# hadolint ignore=DL3006 # our own\nFROM a\n'), 'in the first line').toEqual([]);
    const inside = lintDockerfile('FROM a:1\nRUN b && \\\n# hadolint ignore=DL4006 # inside\n c | d\n', {
      rules: rules.filter(({ id }) => id === 'DL4006'),
    });
    expect(inside.findings.map(({ rule }) => rule)).toEqual(['DL4006', 'suppression-unused']);
    const { suppressed } = lintDockerfile(text('# hadolint ignore=DL4006 # x never fails'));
    expect(suppressed.map(({ finding, reason }) => [finding.rule, finding.span.start.line, reason])).toEqual([
      ['DL4006', 3, 'x never fails'],
    ]);
  });

  test('a file that is no Dockerfile has findings, and a text that is none is refused', () => {
    const broken = (text: string) => only(['DL1000'], text);
    expect(broken('')).toEqual(['DL1000:1']);
    expect(broken('# nothing\n')).toEqual(['DL1000:1']);
    expect(broken('FROM a:1\nRNU x\n')).toEqual(['DL1000:2']);
    expect(broken('FROM\n')).toEqual(['DL1000:1']);
    expect(broken('ARG A=1\nRUN x\nFROM a:$A\n')).toEqual(['DL1000:2']);
    expect(broken('\uFEFFFROM a:1\nCMD []\n')).toEqual([]);
    for (const text of [undefined, 7, new Uint8Array(1), 'x'.repeat(32 * 1024 + 1)]) {
      // @ts-expect-error: untyped code can hand in anything
      expect(() => lintDockerfile(text), typeof text).toThrow(UnreadableDockerfileError);
    }
    expect(() => lintDockerfile('x'.repeat(32 * 1024))).not.toThrow();
  });

  test('whatever the text, it ends with findings inside it, in order, the same ones each time', () => {
    const dice = random(SEED);
    const texts = corpus.map(({ text }) => text);
    for (let round = 0; round < 60; round++) {
      const [a = '', b = ''] = [texts[dice.int(0, texts.length - 1)], texts[dice.int(0, texts.length - 1)]];
      const text =
        a.slice(0, dice.int(0, a.length)) +
        ['', '\0', '"', '\\', '${', '<<EOF\n', '[', '\u2028'][dice.int(0, 7)] +
        b.slice(dice.int(0, b.length));
      const { findings } = lintDockerfile(text);
      const lines = text.split('\n').length;
      expect(
        findings.every(({ span: { start, end } }) => start.line >= 1 && end.line <= lines && start.line <= end.line),
        text,
      ).toBe(true);
      expect([...findings].sort(inOrder), text).toEqual(findings);
      expect(lintDockerfile(text).findings, text).toEqual(findings);
    }
  });

  test('what should stay at home is named, the first three of it, and whether a .dockerignore is missing', () => {
    const files = [
      '.env',
      '.env.prod',
      'a/id_rsa',
      'b/tls.key',
      '.git/HEAD',
      'keys/README.md',
      '.env.sample',
      'src/a.ts',
    ];
    const told = (copy: string, ignore?: string) =>
      lintDockerfile(`FROM a:1\n${copy}\n`, {
        rules: rules.filter(({ id }) => id === 'CL1008'),
        context: { files, ignore },
      }).findings.map(({ message }) => message);
    expect(told('COPY . /app')).toEqual([
      '.env, .env.prod, a/id_rsa and 2 more would be copied: there is no .dockerignore',
    ]);
    expect(told('COPY . /app', '.env*\n')).toEqual(['a/id_rsa, b/tls.key, .git/HEAD would be copied']);
    expect(told('COPY a b ./', '')).toEqual(['a/id_rsa, b/tls.key would be copied']);
    expect(told('ADD * /app/', '*\n!b')).toEqual(['b/tls.key would be copied']);
    expect(told('COPY .env /', '')).toEqual(['.env would be copied']);
    expect(told('COPY .env* a/id_* ./', '')).toEqual(['.env, .env.prod, a/id_rsa would be copied']);
    expect(told('COPY --exclude=.env* . ./', '*\n!.env*')).toEqual([]);
    expect(told('COPY "b" ["a"', '')).toEqual(['b/tls.key would be copied']);
    expect(
      [
        told('COPY keys src ./'),
        told('COPY --from=b . .'),
        told('COPY --chown=a --from=b . .'),
        told('COPY . .', '*'),
      ].flat(),
    ).toEqual([]);
  });

  test('a report names each finding by what outlives the lines around it', () => {
    const text = 'FROM debian:12\nRUN a | b\nRUN a | b\n';
    const report = (source: string) => {
      const { findings } = lintDockerfile(source, { file: 'shop/Dockerfile' });
      const prints = fingerprints(findings, (_, line) => source.split('\n')[line - 1] ?? '');
      return toSarif({ tool: 'lint', version: '1', rules, findings, prints }).runs[0]?.results ?? [];
    };
    const [before, after] = [report(text), report(`# moved\n\n${text}`)];
    const names = before.map(({ partialFingerprints }) => partialFingerprints['findingHash/v1']);
    expect(after.map(({ partialFingerprints }) => partialFingerprints['findingHash/v1'])).toEqual(names);
    expect(new Set(names).size).toBe(names.length);
    expect(before.find(({ ruleId }) => ruleId === 'DL4006')?.locations[0]?.physicalLocation).toEqual({
      artifactLocation: { uri: 'shop/Dockerfile' },
      region: { startLine: 2, startColumn: 1, endLine: 2, endColumn: 10 },
    });
  });

  test('every rule says what goes wrong and what to write instead, under a name of its own', () => {
    expect(new Set(rules.map(({ id }) => id)).size).toBe(rules.length);
    for (const { id, title, why, fix } of rules) {
      expect(id).toMatch(/^(?:DL|CL)\d{4}$/);
      for (const words of [title, why, fix]) expect(words.length, id).toBeGreaterThan(5);
    }
  });

  test('the Dockerfile and the .dockerignore that come along have no finding', async () => {
    const read = (name: string) => readFile(join(import.meta.dirname, '../src', name), 'utf8');
    const files = [
      'package.json',
      'package-lock.json',
      'src/server.ts',
      '.env',
      'src/.env',
      '.git/HEAD',
      'node_modules/a.js',
      'src/a.pem',
    ];
    const context = { files, ignore: await read('.dockerignore') };
    expect(marks(await read('Dockerfile'), { context })).toEqual([]);
    expect(marks(`${await read('Dockerfile')}\nCOPY . .\n`, { context }), 'whatever it copies').toEqual([]);
  });
});
