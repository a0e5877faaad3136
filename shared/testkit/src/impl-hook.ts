// Preloaded (node --import) in every process under a suite that grades another implementation than the reference:
// `#lab` means LAB_IMPL there too.
import { registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';

const impl = process.env['LAB_IMPL'];
if (impl) {
  const url = pathToFileURL(impl).href;
  registerHooks({
    resolve: (specifier, context, next) =>
      specifier === '#lab' ? { url, shortCircuit: true } : next(specifier, context),
  });
}
