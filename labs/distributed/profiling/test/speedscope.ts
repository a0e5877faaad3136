import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import vm from 'node:vm';

interface Imported {
  readonly name: string;
  readonly selfUs: number;
  readonly totalUs: number;
}

/**
 * What speedscope makes of a file, by its own importer. The package holds a page and no module: its script is run without a
 * page, which it fails to draw, and then asked for the function that its page calls for a dropped file.
 */
export async function openInSpeedscope(name: string, text: string): Promise<Imported[]> {
  const folder = join(dirname(fileURLToPath(import.meta.resolve('speedscope/package.json'))), 'dist/release');
  const file = readdirSync(folder).find((entry) => /^speedscope-.*\.js$/.test(entry));
  const page = readFileSync(join(folder, file ?? ''), 'utf8');
  const loader = /loadFileFromBase64:\((\w+),(\w+)\)=>\{this\.loadProfile\(\(\)=>([\w$]+)\(\1,\2\)\)\}/.exec(page)?.[3];
  if (loader === undefined) throw new Error('speedscope has changed: where does its page load a file?');
  const anything = (): object =>
    new Proxy(() => {}, {
      get: (_, key) => (key === 'then' ? undefined : key === Symbol.toPrimitive ? () => '' : anything()),
      set: () => true,
      apply: anything,
      construct: anything,
    });
  const window: Record<string, unknown> = {
    atob,
    TextDecoder,
    TextEncoder,
    Uint8Array,
    setTimeout() {},
    URL,
    performance,
    document: anything(),
  };
  Object.assign(window, { console: { log() {}, warn() {}, error() {} }, navigator: { userAgent: '', platform: '' } });
  Object.assign(window, { window, self: window, location: { href: 'file:///', hash: '', protocol: 'file:' } });
  Object.assign(window, { addEventListener() {}, requestAnimationFrame() {}, localStorage: anything() });
  vm.createContext(window);
  try {
    vm.runInContext(page.replace('(()=>{', `(()=>{globalThis.open=(...file)=>${loader}(...file);`), window);
  } catch {
    // Its page cannot be drawn here; its importer is there.
  }
  const base64 = Buffer.from(text).toString('base64');
  return vm.runInContext(
    `open(${JSON.stringify(name)}, ${JSON.stringify(base64)}).then(({ profiles: [it] }) => {
      const frames = [];
      it.forEachFrame((frame) => frames.push({ name: frame.name, selfUs: frame.getSelfWeight(), totalUs: frame.getTotalWeight() }));
      return frames;
    })`,
    window,
  );
}
