// Hats and glasses: coloured triangles.
in vec3 P; in vec3 N; in vec3 C; in float G; in vec4 in_light;
layout(location = 0) out vec4 out_colour; layout(location = 1) out vec4 out_irradiance;
void main() {
    vec3 n = normalize(N); if (dot(n, camera - P) < 0.) n = -n;
    Surface s = Surface(C * (.92 + .16 * octaves(P * 6. + seed)), n, .03, mix(.8, .3, G), .3 + G, vec3(.12), .85);
    vec3 irr; vec3 c = shade(s, P, in_light, irr);
    out_colour = vec4(c, 1); out_irradiance = vec4(irr, 0);
}
