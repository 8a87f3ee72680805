// Plain JavaScript, not compiled: tsc wraps the argument of an import() in a helper (rewriteRelativeImportExtensions),
// and then webpack and Rspack no longer see the comments, which keep bundlers from following what only the user's
// installation can tell.

/**
 * Imports a module whose name only running shows.
 *
 * @param {string} specifier
 */
export const importModule = (specifier) =>
  import(/* @vite-ignore */ /* webpackIgnore: true */ /* turbopackIgnore: true */ specifier)
