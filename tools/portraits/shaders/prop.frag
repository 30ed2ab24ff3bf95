// Hats and glasses: coloured triangles. Hair: ribbons, whose `nrm` is their tangent and whose gloss is minus their openness.
in vec3 P; in vec3 N; in vec3 C; in float G; in vec4 in_light;
layout(location = 0) out vec4 out_colour; layout(location = 1) out vec4 out_irradiance;
uniform vec3 hair_centre; uniform float hair_gloss;
void main() {
    vec3 irr, c, v = normalize(camera - P);
    if (G < 0.) {
        vec3 t = normalize(N), o = normalize(P - hair_centre), round = v - t * dot(v, t);
        vec3 n = normalize(o + .55 * normalize(round + 1e-4));
        Surface s = Surface(C, n, 0., .6, 0., vec3(.25), -G);
        float visible = key_visible(in_light, n);
        c = shade(s, P, visible, irr) * mix(.45, 1., -G);
        for (int i = 0; i < 3; i++) {  // highlights across the strands (Kajiya and Kay 1989; Marschner et al. 2003)
            vec3 h = normalize(light_dir[i] + v);
            float lit = smoothstep(-.1, .4, dot(o, light_dir[i])) * (i == 0 ? visible : .7) * -G;
            float d1 = dot(t + .08 * o, h), d2 = dot(t - .10 * o, h);
            c += hair_gloss * lit * light_col[i] * (.035 * pow(max(1. - d1 * d1, 0.), 45.) + .6 * C * pow(max(1. - d2 * d2, 0.), 14.));
        }
    } else {
        vec3 n = normalize(N); if (dot(n, v) < 0.) n = -n;
        Surface s = Surface(C * (.92 + .16 * octaves(P * 6. + seed)), n, .03, mix(.8, .3, G), .3 + G, vec3(.12), .85);
        c = shade(s, P, key_visible(in_light, s.n), irr);
    }
    out_colour = vec4(c, 1); out_irradiance = vec4(irr, 0);
}
