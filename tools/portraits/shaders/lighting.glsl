// Shared by every surface: one shadowed key light, two fills, a sky/ground ambient; wrapped diffuse and GGX specular.
uniform vec3 camera; uniform vec3 light_dir[3]; uniform vec3 light_col[3];
uniform vec3 sky; uniform vec3 ground; uniform vec3 up;
uniform sampler2DShadow shadow_map; uniform float shadow_soft; uniform float seed;
uniform sampler3D noise_tex;

float hash(vec3 p) { p = fract(p * vec3(.1031, .1030, .0973)); p += dot(p, p.yxz + 33.33); return fract((p.x + p.y) * p.z); }
float noise(vec3 p) { return texture(noise_tex, p / 32.).r; }
vec3 noise3(vec3 p) { return texture(noise_tex, p / 32.).gba - .5; }
float octaves(vec3 p) { return .5 * noise(p) + .3 * noise(p * 2.1 + 7.) + .2 * noise(p * 4.3 + 3.); }

float key_visible(vec4 in_light, vec3 n) {
    vec3 q = in_light.xyz / in_light.w * .5 + .5;
    if (any(lessThan(q.xy, vec2(0))) || any(greaterThan(q.xy, vec2(1)))) return 1.;
    float bias = .004 + .006 * (1. - max(dot(n, light_dir[0]), 0.));
    float turn = hash(vec3(gl_FragCoord.xy, seed)) * 6.2832, sum = 0.;
    for (int i = 0; i < 10; i++) {
        float r = sqrt((float(i) + .5) / 10.), a = turn + 2.4 * float(i);
        sum += texture(shadow_map, vec3(q.xy + shadow_soft * r * vec2(cos(a), sin(a)), q.z - bias));
    }
    return sum / 10.;
}

struct Surface { vec3 albedo; vec3 n; float f0; float rough; float gloss; vec3 wrap; float open; };

// Returns irradiance in `irr` (what white paint would show) and the outgoing radiance.
vec3 shade(Surface s, vec3 p, float visible, out vec3 irr) {
    vec3 v = normalize(camera - p);
    float nv = max(dot(s.n, v), .02);
    vec3 spec = vec3(0); irr = vec3(0);
    for (int i = 0; i < 3; i++) {
        vec3 l = light_dir[i]; float nl = dot(s.n, l);
        vec3 diffuse = max((nl + s.wrap) / ((1. + s.wrap) * (1. + s.wrap)), 0.);
        // Blood scatters red light furthest: it bleeds into the shadow's edge.
        vec3 through = i == 0 ? mix(vec3(visible), vec3(pow(visible + .001, .75), visible, visible), .7) : vec3(mix(1., s.open, .8));
        irr += light_col[i] * diffuse * through;
        vec3 h = normalize(l + v);
        float nh = max(dot(s.n, h), 0.), a = s.rough * s.rough, a2 = a * a, d = nh * nh * (a2 - 1.) + 1.;
        float fresnel = s.f0 + (1. - s.f0) * pow(1. - max(dot(h, v), 0.), 5.), k = a * .5 + .05;
        float geom = 1. / ((nv * (1. - k) + k) * (max(nl, 0.) * (1. - k) + k));
        spec += light_col[i] * (i == 0 ? visible : s.open) * s.gloss * a2 / (3.14159 * d * d) * fresnel * geom * .25 * max(nl, 0.);
    }
    irr += mix(ground, sky, .5 + .5 * dot(s.n, up)) * pow(vec3(s.open), vec3(1.35) - .5 * s.albedo);
    float rim = s.f0 + (1. - s.f0) * pow(1. - nv, 5.) * (1. - s.rough);
    spec += mix(ground, sky, .7) * s.open * rim * s.gloss * .6;
    return s.albedo * irr + spec;
}
