export declare const importModule: (specifier: string) => Promise<Readonly<Record<string, unknown>>>
