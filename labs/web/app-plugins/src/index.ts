export { type AppConfig, Assembly, buildApp } from './app.ts';
export {
  AppClosedError,
  AppError,
  InvalidAppError,
  InvalidDefinitionError,
  PluginTeardownError,
  type Problem,
  SetupError,
  SetupTimeoutError,
  TeardownError,
} from './errors.ts';
export {
  type Checked,
  definePlugin,
  type Mount,
  type Needs,
  type Plugin,
  type PluginDefinition,
  type SetupContext,
} from './plugin.ts';
export { Secret, secret } from './secret.ts';
