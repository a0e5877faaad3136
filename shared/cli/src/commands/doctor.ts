import colors from 'picocolors';
import { type Context, labsOf } from '../context.ts';
import { exit } from '../errors.ts';
import { type NeededServer, neededServers } from '../servers.ts';
import { indent, pad } from '../text.ts';

/** `pnpm lab doctor`: what this machine has of what the labs need, and how to get the rest. */
export async function doctor(context: Context): Promise<number> {
  const { out } = context;
  const servers = await neededServers(await labsOf(context));
  const tools = [toolLine('node', process.versions.node, process.execPath), pnpmLine(context.env)];
  const width = Math.max(...[...servers.map(({ service }) => service), 'node', 'pnpm'].map((name) => name.length));
  const line = ({ mark, name, what, where }: Line) =>
    ` ${mark} ${colors.bold(pad(name, width))}  ${pad(what, 22)}  ${colors.dim(where)}`.trimEnd();

  for (const tool of tools) out.write(`${line(tool)}\n`);
  for (const server of servers) {
    out.write(`${line(serverLine(server))}\n`);
    const advice = adviceFor(server);
    if (advice !== '') out.write(`${indent(advice, ' '.repeat(width + 5))}\n`);
  }
  const missing = servers.filter(({ report }) => !report?.available);
  if (missing.length === 0) {
    out.write(`\n${colors.green('All that the labs need is at hand.')}\n`);
    return exit.done;
  }
  const held = missing.map(({ service, labs }) => `${service}, for ${labs.join(', ')}`);
  out.write(`\n${colors.yellow('Missing:')} ${held.join('; ')}\n`);
  return exit.missingServer;
}

type Line = { readonly mark: string; readonly name: string; readonly what: string; readonly where: string };

const toolLine = (name: string, what: string, where: string): Line => ({ mark: colors.green('●'), name, what, where });

/** pnpm tells its scripts who runs them: `pnpm/12.21.0 npm/? node/v24.21.0 linux x64`. */
function pnpmLine(env: NodeJS.ProcessEnv): Line {
  const version = /\bpnpm\/(\S+)/.exec(env['npm_config_user_agent'] ?? '')?.[1];
  if (version) return toolLine('pnpm', version, '');
  return {
    mark: colors.dim('·'),
    name: 'pnpm',
    what: 'did not start this',
    where: '`npx pnpm lab doctor` tells its version',
  };
}

function serverLine({ service, report }: NeededServer): Line {
  if (!report?.available)
    return { mark: colors.yellow('○'), name: service, what: 'missing', where: report?.note ?? '' };
  const what = [report.origin, report.version].filter(Boolean).join(' ');
  return { mark: colors.green('●'), name: service, what, where: report.path ?? report.note ?? '' };
}

function adviceFor({ service, report }: NeededServer): string {
  if (report?.available) return '';
  if (!report) return `no lab can start "${service}" yet: a file in shared/services/src and a line in its registry`;
  return ['any one of these gives you one:', ...report.ways.map((way) => `  ${way}`)].join('\n');
}
