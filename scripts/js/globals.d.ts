/** Types that the dashboard's JSDoc names, and the one global that a script tag of index.html provides. */

/** The documents of the API by name. `make lint-js` generates them from tests/app/api/openapi.json. */
type Schemas = import("./api").components["schemas"];

/** A number in the API's JSON: those that JSON lacks are strings. */
type WireNumber = number | "NaN" | "Infinity" | "-Infinity" | null | undefined;

type Paths = import("./api").paths & { "/openapi.json": { get: Responds<OpenApi> } };
type Responds<Body> = { responses: { 200: { content: { "application/json": Body } } } };

/** What the dashboard reads of /openapi.json. */
interface OpenApi {
  components: { schemas: Record<string, JsonSchema> };
  paths: {
    "/v1/experiments": {
      post: {
        requestBody: {
          content: { "application/json": { examples: Record<string, { summary: string; value: Spec }> } };
        };
      };
    };
  };
}

/** An ExperimentSpec while it is written: nothing has validated it yet. */
type Spec = Record<string, unknown>;

/** The keywords of JSON Schema that the form reads. */
interface JsonSchema {
  $ref?: string | undefined;
  title?: string;
  description?: string | undefined;
  type?: string;
  default?: unknown;
  enum?: string[];
  properties?: Record<string, JsonSchema>;
  patternProperties?: Record<string, JsonSchema>;
  required?: string[];
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  discriminator?: { propertyName: string; mapping: Record<string, string> };
}

/** The strings that `/v1/trials/{trial_id}` stands for: `/v1/trials/${string}`. */
type Filled<Path> = Path extends `${infer Head}{${string}}${infer Tail}` ? `${Head}${string}${Filled<Tail>}` : Path;
type WithoutQuery<Path> = Path extends `${infer Head}?${string}` ? Head : Path;

/** The path of the schema that a string stands for; `never` where there is none. */
type Route<Path extends string> = Path extends string ? RouteOf<WithoutQuery<Path>> : never;
type RouteOf<Path> = {
  [Key in keyof Paths]: [Filled<Key>, Path] extends [Path, Filled<Key>] ? Key : never;
}[keyof Paths];

type JsonBody<Response> = Response extends { content: { "application/json": infer Body } } ? Body : never;
type JsonOf<Operation> = Operation extends { responses: infer All } ? JsonBody<All[keyof All]> : never;

/** The JSON that a request is answered with; `never` where the API has no such path or method. */
type Answer<Path extends string, Method extends string> = JsonOf<
  Paths[Route<Path>][Lowercase<Method> & keyof Paths[Route<Path>]]
>;
/** Refuses a path or method that the API does not have. */
type Known<Path extends string, Method extends string> = [Answer<Path, Method>] extends [never] ? never : unknown;

/** plotly.js: only what components/charts.js calls. */
interface PlotlyElement extends HTMLElement {
  on(name: "plotly_hover", listener: (event: { points: [{ curveNumber: number }] }) => void): void;
  on(name: "plotly_unhover", listener: () => void): void;
}
interface Plotly {
  react(element: HTMLElement, traces: object[], layout: object, config: object): Promise<unknown>;
  restyle(element: HTMLElement, changes: Record<string, unknown[]>, traces: number[]): Promise<unknown>;
  purge(element: HTMLElement): void;
}
interface Window {
  Plotly: Plotly;
}
