import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { createBrotliDecompress } from 'node:zlib';
import type { Page } from 'playwright-core';
import { chooseOwn } from './choose.ts';
import { borrow } from './lease.ts';
import { type Lendable, type Lender, ownProgram } from './lending.ts';
import { EmbeddedServer, type Program, temporaryFolder } from './process.ts';
import { handle } from './servers.ts';
import { onPath, oursAlone, type Service } from './service.ts';
import type { Servers } from './types.ts';

/** A browser without a window, driven by Playwright. */
export interface Browser extends Servers {
  /** The address of its DevTools protocol, for another process: Playwright's `connectOverCDP(url)`. */
  readonly url: string;
  /**
   * A new page in a context of its own: no cookie, no storage, no history of another's. It is closed with the browser at
   * the latest.
   */
  page(o?: PageOptions): Promise<Page>;
}

export interface PageOptions {
  /** Of the page, in CSS pixels. Default 1280 × 800. */
  readonly width?: number;
  readonly height?: number;
  /** What the page is told that its reader prefers. Default `light`. */
  readonly colorScheme?: 'light' | 'dark';
  /** Default `en-US`. */
  readonly locale?: string;
}

export interface BrowserOptions {
  /** Ends the start; what was begun is cleaned up. */
  readonly signal?: AbortSignal;
}

const NAME = 'browser';
/** Half a second alone; a first start reads 200 MB from the disk. */
const START_MS = 60_000;

export const browser: Service = {
  name: NAME,
  // None: the user's own browser is nobody's business.
  ...oursAlone('ws', 9222),
  find: async () => {
    const path = await onPath('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable');
    return path === undefined ? undefined : { path };
  },
  npm: {
    name: '@sparticuz/chromium',
    version: '153.0.0',
    integrity: 'sha512-jiGWqSvPMdu4+P9TilYqAR7yEGPEHINx+lCvE/NqNO/EHYzF/x1hUiI5T6ioVIt7dEy7n88byyT0vk+dnsgQwA==',
    platform: 'linux-x64',
    program: 'chromium',
    unpack: async (from, aside, final) => {
      const inflate = (file: string, to: string) =>
        pipeline(createReadStream(join(from, 'bin', file)), createBrotliDecompress(), createWriteStream(to));
      await inflate('chromium.br', join(aside, 'chromium'));
      await chmod(join(aside, 'chromium'), 0o755);
      // The libraries that a bare Debian lacks, and a font for a machine that has none.
      for (const name of ['al2023', 'fonts']) {
        const archive = join(aside, `${name}.tar`);
        await inflate(`${name}.tar.br`, archive);
        await promisify(execFile)('tar', ['-xf', archive, '--no-same-owner'], { cwd: aside });
        await rm(archive);
      }
      await writeFile(join(aside, 'fonts.conf'), fontsConf(join(final, 'fonts')));
    },
    env: (folder) => ({ LD_LIBRARY_PATH: join(folder, 'lib'), FONTCONFIG_FILE: join(folder, 'fonts.conf') }),
  },
  version: async ({ path, env }) => {
    const { stdout } = await promisify(execFile)(path, ['--version'], { env: { ...process.env, ...env } });
    return /\d+(?:\.\d+)+/.exec(stdout)?.[0] ?? 'unknown';
  },
  install: {
    apt: 'sudo apt install chromium',
    dnf: 'sudo dnf install chromium',
    apk: 'sudo apk add chromium',
    pacman: 'sudo pacman -S chromium',
    brew: 'brew install --cask chromium',
  },
};

/**
 * Starts a Chromium of our own without a window: one of PATH, else the one of npm's `@sparticuz/chromium` in the private
 * cache. Its profile, cache and settings are a folder that goes with it. It runs without Chromium's sandbox, which few
 * containers allow: show it no page but your own.
 * @throws MissingServerError, ServerDiedError, StartTimeoutError, BadSettingError, or the signal's reason
 */
export async function startBrowser(o: BrowserOptions = {}): Promise<Browser> {
  const { signal } = o;
  signal?.throwIfAborted();
  const program = await chooseOwn(browser, 1, { signal, embedded: true });
  return (await borrowed()) ?? driven(await launch(program, signal));
}

export const browserLender: Lender = { lend: async () => lendable(await launch(await ownProgram(browser), undefined)) };

/** A Chromium that nobody drives yet. */
interface Launched extends Servers {
  readonly url: string;
}

/** Whoever borrows next finds no page of the last one: each has contexts of its own, and they are closed with it. */
function lendable(launched: Launched): Lendable {
  const { url, inspect } = launched;
  return {
    servers: launched,
    nodes: [],
    urls: [url],
    inspect,
    namespace: newNamespace(),
    renew: async () => ((await tidied(url)) ? lendable(launched) : undefined),
  };
}

async function borrowed(): Promise<Browser | undefined> {
  const loan = await borrow(NAME, {});
  const [url] = loan?.facts.urls ?? [];
  if (loan === undefined || url === undefined) return undefined;
  return driven({ ...loan.handle(NAME, async () => {}), faults: false, url });
}

/** Closes all contexts, whoever opened them. Says whether nothing is left but the page that was there at the start. */
async function tidied(url: string): Promise<boolean> {
  const answers = new Map<number, PromiseWithResolvers<Record<string, unknown>>>();
  const socket = new WebSocket(url);
  socket.addEventListener('message', ({ data }) => {
    const { id, result = {} } = JSON.parse(String(data));
    answers.get(id)?.resolve(result);
  });
  const ended = Promise.withResolvers<never>();
  ended.promise.catch(() => {});
  socket.addEventListener('close', () => ended.reject(new Error('the browser is gone')));
  const ask = (method: string, params = {}) => {
    const answer = Promise.withResolvers<Record<string, unknown>>();
    const id = answers.size + 1;
    answers.set(id, answer);
    socket.send(JSON.stringify({ id, method, params }));
    return Promise.race([answer.promise, ended.promise]);
  };
  try {
    await Promise.race([once(socket, 'open'), ended.promise]);
    const { browserContextIds: left } = await ask('Target.getBrowserContexts');
    if (!Array.isArray(left)) return false;
    await Promise.all(left.map((browserContextId) => ask('Target.disposeBrowserContext', { browserContextId })));
    await ask('Storage.clearCookies');
    const { targetInfos: pages } = await ask('Target.getTargets', { filter: [{ type: 'page' }] });
    return Array.isArray(pages) && pages.length === 1 && pages[0].url === FIRST_PAGE;
  } finally {
    socket.close();
  }
}

async function launch(program: Program, signal: AbortSignal | undefined): Promise<Launched> {
  const version = await browser.version(program);
  const folder = await temporaryFolder(NAME);
  try {
    const own = { HOME: folder.path, TMPDIR: folder.path, XDG_CONFIG_HOME: folder.path, XDG_CACHE_HOME: folder.path };
    const profile = join(folder.path, 'profile');
    await mkdir(profile);
    let url = '';
    const server = await EmbeddedServer.start({
      service: NAME,
      program: { path: program.path, env: { ...program.env, ...own } },
      folder: folder.path,
      args: () => [...FLAGS, `--user-data-dir=${profile}`, FIRST_PAGE],
      signal,
      timeoutMs: START_MS,
      ready: async () => {
        // It takes a free port, and writes down which when it listens.
        const [port, path] = (await readFile(join(profile, 'DevToolsActivePort'), 'utf8')).split('\n');
        url = `ws://127.0.0.1:${port}${path}`;
        return port !== undefined && path !== undefined && path !== '';
      },
    });
    const common = handle({
      service: NAME,
      origin: 'embedded',
      version,
      count: 1,
      inspect: [],
      faults: false,
      namespace: newNamespace(),
      close: async () => {
        await server.kill();
        await folder.settle();
      },
    });
    return { ...common, url };
  } catch (error) {
    await folder.settle();
    throw error;
  }
}

/** With Playwright at its wheel; closing it closes what was launched. */
async function driven(launched: Launched): Promise<Browser> {
  try {
    const { chromium } = await import('playwright-core');
    const connected = await chromium.connectOverCDP(launched.url);
    return {
      ...launched,
      page: async ({ width = 1280, height = 800, colorScheme = 'light', locale = 'en-US' } = {}) => {
        const context = await connected.newContext({ viewport: { width, height }, colorScheme, locale });
        return context.newPage();
      },
      [Symbol.asyncDispose]: async () => {
        await connected.close().catch(() => {});
        await launched[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await launched[Symbol.asyncDispose]();
    throw error;
  }
}

const newNamespace = () => `labs-${randomBytes(4).toString('hex')}`;
const FIRST_PAGE = 'about:blank';

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--remote-debugging-port=0',
  '--no-first-run',
  '--no-default-browser-check',
  // It asks nobody outside for anything.
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-default-apps',
  '--disable-domain-reliability',
  '--disable-extensions',
  '--disable-sync',
  '--no-pings',
  // Containers have 64 MB of shared memory: a page of pictures fills it.
  '--disable-dev-shm-usage',
  '--disable-gpu',
  '--disable-breakpad',
  // The same picture of a page on every machine.
  '--force-color-profile=srgb',
  '--hide-scrollbars',
  '--font-render-hinting=none',
  '--mute-audio',
  '--password-store=basic',
  '--use-mock-keychain',
];

/** The system's fonts, and behind them the one that came along. */
const fontsConf = (fonts: string) => `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <dir>${fonts}</dir>
</fontconfig>
`;
