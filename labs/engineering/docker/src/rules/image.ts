import { copied, historyOf } from '../stages.ts';
import { type DockerRule, each, triggered } from './rule.ts';

const KNOWN =
  'ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL MAINTAINER ONBUILD RUN SHELL STOPSIGNAL USER VOLUME WORKDIR';
const keywords = new Set(KNOWN.split(' '));

export const readable: DockerRule = {
  id: 'DL1000',
  title: 'What is no Dockerfile',
  severity: 'high',
  confidence: 'high',
  why: 'the build stops there',
  fix: 'correct the instruction; a file begins with FROM, only ARG may stand before it',
  *check({ ast, last }) {
    if (last === undefined) yield { at: undefined, message: 'there is no FROM' };
    const first = ast.getFROMs()[0]?.getRange().start.line ?? Number.POSITIVE_INFINITY;
    for (const at of ast.getInstructions().map(triggered)) {
      const keyword = at.getKeyword();
      if (!keywords.has(keyword)) yield { at, message: `there is no instruction ${keyword.slice(0, 40)}` };
      else if ((at.getArgumentsContent() ?? '').trim() === '') yield { at, message: `${keyword} of nothing` };
      else if (at.getRange().start.line < first && keyword !== 'ARG') {
        yield { at, message: `${keyword} stands before the first FROM` };
      }
    }
  },
};

const isNamed = (image: string) => image !== '' && image !== 'scratch' && !image.includes('$');
const nameOf = (image: string) => image.slice(image.lastIndexOf('/') + 1);

export const tagged: DockerRule = {
  id: 'DL3006',
  title: 'An image without a version',
  severity: 'medium',
  confidence: 'high',
  why: 'it is :latest: the same file makes another image tomorrow',
  fix: 'name a tag, or better a digest',
  *check({ stages }) {
    for (const { from, image, base } of stages) {
      if (base !== undefined || !isNamed(image) || /[:@]/.test(nameOf(image))) continue;
      yield { at: from, message: `${image} has neither tag nor digest` };
    }
  },
};

export const notLatest: DockerRule = {
  id: 'DL3007',
  title: 'An image of today',
  severity: 'medium',
  confidence: 'high',
  why: 'the same file makes another image tomorrow, and a rollback does not roll back',
  fix: 'name the version that was tested',
  *check({ stages }) {
    for (const { from, image } of stages) {
      if (nameOf(image).endsWith(':latest')) yield { at: from, message: `${image} is whatever is newest` };
    }
  },
};

const isFetched = (source: string) =>
  /^(?:https?|git|ssh):|^git@|\.git(?:#.*)?$|\.(?:tar|tgz|tbz2?|txz)$|\.tar\.\w+$|\.(?:gz|bz2|xz|zst)$/i.test(source);

export const copyNotAdd: DockerRule = {
  id: 'DL3020',
  title: 'ADD where COPY would do',
  severity: 'low',
  confidence: 'high',
  why: 'ADD also downloads and unpacks: what a name happens to end in decides',
  fix: 'COPY; keep ADD for archives and URLs',
  *check(file) {
    for (const { at } of each(file, 'ADD')) {
      const files = copied(at).sources.filter((source) => !source.startsWith('$') && !isFetched(source));
      if (files.length > 0) yield { at, message: `ADD of ${files.join(', ')}` };
    }
  },
};

export const healthy: DockerRule = {
  id: 'DL3057',
  title: 'No HEALTHCHECK',
  severity: 'low',
  confidence: 'medium',
  why: 'a process that hangs is "up" until somebody complains',
  fix: 'HEALTHCHECK, or HEALTHCHECK NONE where the orchestrator probes',
  *check({ last }) {
    if (last === undefined || historyOf(last).some((at) => at.getKeyword() === 'HEALTHCHECK')) return;
    yield { at: last.from, message: 'nobody asks this container how it is' };
  },
};
