// Head, hair and clothes. `layer`: 0 the body itself, 1 a hair shell, 2 the clothes.
in vec3 P; in vec3 N; in vec3 R; in vec2 U; flat in float part_of; in float opening; in vec4 in_light;
layout(location = 0) out vec4 out_colour; layout(location = 1) out vec4 out_irradiance;
uniform int layer; uniform float inflate;
uniform sampler2D masks; uniform vec3 skin; uniform vec3 lips; uniform vec3 iris; uniform vec3 gaze; uniform vec3 eye_left;
uniform float redness; uniform float freckles; uniform float roughness; uniform float oil; uniform float age;
uniform vec3 hair; uniform vec3 brow; uniform float hairline; uniform float hair_seed; uniform float hair_density; uniform float hair_bottom; uniform float hair_round;
uniform float beard; uniform float brow_width; uniform float brow_dark;
uniform int garment; uniform vec3 cloth; uniform vec3 cloth2; uniform vec3 cloth3; uniform float neckline; uniform float vneck;

float scalp(vec3 r) {  // > 0 where hair grows, decimetres above the hairline
    float z = r.z;
    float y = z > 1.15 ? mix(7.93, 8.08, smoothstep(1.15, 1.5, z)) : z > .85 ? mix(7.62, 7.93, (z - .85) / .3)
            : z > .55 ? mix(7.25, 7.62, (z - .55) / .3) : z > .25 ? mix(7.3, 7.25, (z - .25) / .3)
            : z > -.1 ? mix(6.75, 7.3, (z + .1) / .35) : 6.55;
    return r.y - y - hairline + .06 * (noise(vec3(r.xz * 9., hair_seed)) - .5);
}
float brow_mask(vec3 r) {
    float t = (abs(r.x) - .09) / .47;
    if (t < 0. || t > 1. || r.z < .9) return 0.;
    float centre = 7.455 + .075 * sin(t * 2.4) - .02 * t, w = brow_width * (1. - .65 * t) * smoothstep(0., .12, t);
    return smoothstep(1.25, .5, abs(r.y - centre) / w) * (.65 + .45 * noise(vec3(r.x * 70. + r.y * 30., r.y * 25., seed)));
}
float beard_mask(vec3 r) {
    float x = abs(r.x);
    float jaw = smoothstep(6.98, 6.78, r.y + .25 * smoothstep(.62, .25, x) - .28 * smoothstep(.5, .8, x));
    jaw *= smoothstep(5.95, 6.15, r.y) * smoothstep(.25, .5, r.z);
    float lip = smoothstep(.33, .22, x) * smoothstep(6.84, 6.88, r.y) * smoothstep(6.98, 6.92, r.y) * step(1.2, r.z);
    return max(jaw, lip);
}
vec3 cloth_colour(vec3 r, float depth) {
    // garment: 0 plain, 1 stripes across, 2 stripes down, 3 plaid, 4 suit with tie, 5 white coat, 6 apron, 7 hi-vis vest,
    // 8 overalls, 9 robe with white bands, 10 uniform shirt with badge and epaulettes, 11 jumper with a collar, 12 suit, no tie,
    // 13 turnout coat, 14 jersey
    float x = abs(r.x), y = r.y, front = step(.1, r.z); vec3 c = cloth;
    if (garment == 1) c = mix(cloth, cloth2, step(.5, fract(y * 3.4)));
    else if (garment == 2) c = mix(cloth, cloth2, step(.72, fract(r.x * 5.)));
    else if (garment == 3) c = mix(cloth, cloth2, .5 * step(.5, fract(y * 3.)) + .5 * step(.5, fract(r.x * 3.)));
    else if (garment == 4 || garment == 12 || garment == 5) {
        float opening_w = (y - 4.55) * .36;
        if (front > 0. && x < opening_w) {
            c = cloth2;
            if (garment != 12 && x < .10 + .03 * (6. - y) && y < 5.86) c = cloth3;
        } else if (front > 0. && x < opening_w + .14) c = cloth * .72;
        if (garment == 5 && front > 0. && abs(x - .5 - .04 * sin(y * 4.)) < .05 && y > 4.7) c = vec3(.01, .012, .02);
    } else if (garment == 6) { if (front > 0. && ((x < .62 && y < 5.3) || (abs(x - .48) < .1))) c = cloth2; }
    else if (garment == 7) {
        if (x > .3 + .12 * (5.9 - y)) { c = cloth; if (abs(x - .78) < .13 || abs(y - 4.75) < .12) c = cloth3; } else c = cloth2;
    } else if (garment == 8) { c = cloth2; if ((front > 0. && x < .62 && y < 5.25) || abs(x - .5) < .13) c = cloth; }
    else if (garment == 9) { if (front > 0. && x < .2 && y > 4.9) c = cloth2; }
    else if (garment == 10) {
        if (x > 1.0 && r.y > 5.1 && abs(fract(r.x * 2.2) - .5) < .2) c = cloth2;
        if (front > 0. && length(vec2(r.x - .62, y - 5.0)) < .14) c = cloth3;
        if (front > 0. && x < .09 && y < 5.8) c = cloth2;
    } else if (garment == 11) { if (depth < .2) c = cloth2; }
    else if (garment == 13) { c = mix(cloth, cloth2, step(abs(y - 5.05), .11)); if (front > 0. && x < .07) c = cloth3; }
    else if (garment == 14) { if (x > 1.05) c = cloth2; if (front > 0. && x < .3 && abs(y - 4.95) < .2) c = cloth3; }
    return c;
}

void main() {
    vec3 n = normalize(N), v = normalize(camera - P);
    Surface s = Surface(skin, n, .028, roughness, 1., vec3(.30, .17, .11), opening);
    float is_skin = 0.;
    if (layer == 1) {
        float edge = scalp(R);
        if (part_of > .5 || edge < 0.) discard;
        vec3 q = hair_round > .5 ? R * 24. : vec3(R.x * 26., R.y * 7., R.z * 20.);
        float strand = noise(q + hair_seed) * .6 + .4 * noise(q * 2.3);
        if (strand < .8 * inflate * (1.15 - hair_density * .5) / max(smoothstep(0., .18, edge), .15)) discard;
        s = Surface(hair * (.55 + .75 * strand) * (.55 + .45 * inflate), normalize(n + .3 * noise3(q * 1.7)), .05, .45, .7, vec3(.1), mix(opening, 1., .4) * (.6 + .4 * inflate));
    } else if (layer == 2) {
        float y = neckline - vneck * smoothstep(.55, 0., abs(R.x)) * step(0., R.z);
        if (part_of > .5 || R.y > y) discard;
        float depth = y - R.y;
        vec3 c = cloth_colour(R, depth) * (.86 + .28 * octaves(R * 5. + seed)) * (1. - .35 * smoothstep(.06, 0., depth));
        s = Surface(c, normalize(n + .28 * noise3(R * 9.)), .02, .8, .3, vec3(.15), opening);
    } else if (part_of < .5) {
        if (R.y < neckline - .6 - vneck) discard;
        is_skin = 1.;
        vec3 mask = texture(masks, vec2(U.x, 1. - U.y)).rgb;  // lips, eyelids, face
        float x = abs(R.x), y = R.y;
        float uneven = octaves(R * 3. + seed) - .5, blotch = octaves(R * 14. + seed) - .5, pore = noise(R * 60. + seed) - .5;
        float cheek = exp(-(pow((x - .42) / .2, 2.) + pow((y - 6.98) / .19, 2.))) * step(.7, R.z);
        float nose = exp(-(pow(x / .14, 2.) + pow((y - 7.) / .1, 2.))) * step(1.4, R.z);
        float ear = smoothstep(.72, .85, x) * step(6.8, y) * step(y, 7.6);
        float red = redness * (cheek + .8 * nose + .6 * ear) + .5 * redness * uneven;
        vec3 c = skin * (1. + .10 * uneven + .07 * blotch + .05 * pore) * vec3(1. + .03 * red, 1. - .13 * red, 1. - .11 * red);
        float under_eye = exp(-(pow((x - .3) / .15, 2.) + pow((y - 7.13) / .06, 2.))) * step(1., R.z);
        c *= 1. - under_eye * vec3(.10, .14, .11) * (.5 + age);
        c *= 1. - step(.8, noise(R * 38. + seed * 3.)) * freckles * (cheek + nose) * vec3(.15, .3, .4);
        if (mask.g > .02) c *= mix(vec3(1), vec3(.86, .78, .78), mask.g);
        float lip = smoothstep(.2, .8, mask.r);
        c = mix(c, c * lips, lip);
        if (mask.r > .4) { s.rough = .32; s.gloss = 1.3; }
        if (mask.r > .3) is_skin = 0.;
        float bearded = beard_mask(R) * beard * (.55 + .7 * noise(R * vec3(60., 30., 60.) + seed)) * (1. - mask.r);
        c = mix(c, hair * .8 + .02 * skin, clamp(bearded, 0., .92));
        float browed = brow_mask(R) * brow_dark;
        c = mix(c, brow, clamp(browed, 0., .95));
        if (bearded > .3 || browed > .3) is_skin = 0.;
        float edge = scalp(R);
        if (edge > 0. && hair_density > .01) { c = mix(c, hair * .6, smoothstep(0., .12, edge) * .8); is_skin = 0.; }
        s.albedo = c;
        s.n = normalize(n + (.07 + .09 * age) * noise3(R * 26. + seed) + .07 * noise3(R * 70.));
        float t_zone = exp(-pow(x / .28, 2.)) * step(6.9, y) * step(.9, R.z);
        s.gloss *= .75 + oil * (.4 + t_zone);
        if (R.z < 1.35 && R.z > .3 && x < .25 && y > 6.7 && y < 7.) { s.albedo = vec3(.12, .035, .03); s.open *= .3; is_skin = 0.; }
        if (y < 6.1) is_skin = 0.;
    } else if (part_of < 2.5) {
        vec3 c = eye_left; if (part_of > 1.5) c.x = -c.x;
        vec3 d = normalize(R - c);
        float angle = acos(clamp(dot(d, normalize(gaze)), -1., 1.)), t = angle / .52;
        vec3 white = vec3(.80, .77, .75) * (1. - .25 * smoothstep(.7, 1.4, angle));
        vec3 ring = iris * (.6 + .7 * noise(vec3(atan(d.y, d.x) * 9., t * 3., seed))) * (1. - .6 * smoothstep(.75, 1., t));
        ring = mix(vec3(.006), ring, smoothstep(.36, .44, t));
        s = Surface(mix(ring, white, smoothstep(.93, 1.06, t)), n, .03, .12, 1.6, vec3(.1), .8 * (1. - .5 * smoothstep(.02, .11, R.y - c.y)));
    } else if (part_of < 3.5) {  // the long-hair sheet
        float fringe = 7.98 + hairline - .35 * smoothstep(.25, .75, abs(R.x));
        float side = .76 + .14 * smoothstep(7.2, 6.2, R.y) + .05 * noise(vec3(R.y * 4., hair_seed, 1.));
        if (hair_bottom < .5 || R.y < hair_bottom || (R.z > -.05 && R.y < fringe && abs(R.x) < side && R.z > .3)) discard;
        vec3 q = vec3(R.x * 22., R.y * 2.2, R.z * 22.);
        float strand = noise(q + hair_seed) * .6 + .4 * noise(q * 2.2 + 3.);
        if (strand < .12) discard;
        if (dot(n, v) < 0.) n = -n;
        s = Surface(hair * (.45 + .95 * strand), normalize(n + .5 * noise3(q * 1.6)), .05, .42, .8, vec3(.1), mix(opening, 1., .5));
    } else if (part_of < 4.5) {
        float strand = noise(vec3(R.x * 90., R.y * 10., seed));
        if (R.y < eye_left.y || R.z > 1.43 || strand < .42) discard;
        if (dot(n, v) < 0.) n = -n;
        s = Surface(mix(vec3(.02, .015, .012), skin * .5, .3 * strand), n, .02, .8, 0., vec3(.15), opening);
    } else s = Surface(R.y > 6.45 ? vec3(.74, .70, .62) : vec3(.45, .15, .14), n, .03, .25, 1., vec3(.15), .45);
    if (dot(s.n, v) < 0. && layer != 1) s.n = -s.n;
    vec3 irr; vec3 c = shade(s, P, in_light, irr);
    out_colour = vec4(c, 1); out_irradiance = vec4(irr, is_skin);
}
